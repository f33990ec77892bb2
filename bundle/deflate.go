package bundle

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/flate"
)

const (
	// blockSize is how much one core deflates at a time, in bytes. It is part of the format of the bundle: another
	// value gives other bytes. 1 MiB keeps all cores busy on one big library, and costs 0.1 % in size.
	blockSize = 1 << 20
	// windowSize is what deflate looks back on (RFC 1951), in bytes: each block starts with the end of the one before.
	windowSize = 32 << 10
	// deflateLevel trades size for time; see docs/benchmarks.md.
	deflateLevel = 6
)

// block is a piece of a member on its way through the deflaters.
type block struct {
	member *member
	input  []byte // dict and the piece itself
	dict   int    // bytes of input that belong to the block before
	last   bool
	output bytes.Buffer
	err    error
	done   chan struct{}
}

// deflateAll writes members to z in their order, deflated on all cores, in memory that depends on the number of
// cores alone: blocks are handed out in order, and no more are under way than a few for each core. The bytes do not
// depend on the number of cores.
func deflateAll(parent context.Context, z *zipWriter, members []member) error {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	workers := runtime.GOMAXPROCS(0)
	ordered := make(chan *block, 2*workers)
	work := make(chan *block)
	var group sync.WaitGroup
	group.Go(func() {
		defer close(ordered)
		defer close(work)
		for i := range members {
			if !readBlocks(ctx, &members[i], ordered, work) {
				return
			}
		}
	})
	for range workers {
		group.Go(func() { deflateBlocks(work) })
	}
	err := writeBlocks(z, ordered)
	cancel()
	for range ordered { // let the reader go
	}
	group.Wait()
	if err == nil {
		err = parent.Err()
	}
	return err
}

// readBlocks cuts a member into blocks; it says whether to go on.
func readBlocks(ctx context.Context, m *member, ordered, work chan<- *block) bool {
	send := func(b *block) bool {
		b.member, b.done = m, make(chan struct{})
		select {
		case ordered <- b:
		case <-ctx.Done():
			return false
		}
		if b.err != nil {
			close(b.done)
			return false
		}
		work <- b
		return true
	}
	content, err := m.open()
	if err != nil {
		return send(&block{err: err})
	}
	defer content.Close() //nolint:errcheck // opened for reading
	var tail []byte
	for left := m.size; ; {
		n := min(left, blockSize)
		input := make([]byte, len(tail)+int(n))
		copy(input, tail)
		if _, err := io.ReadFull(content, input[len(tail):]); err != nil {
			return send(&block{err: fmt.Errorf("the file shrank while it was read: %w", err)})
		}
		left -= n
		if !send(&block{input: input, dict: len(tail), last: left == 0}) {
			return false
		}
		if left == 0 {
			return true
		}
		tail = input[max(0, len(input)-windowSize):]
	}
}

func deflateBlocks(work <-chan *block) {
	for b := range work {
		b.err = b.deflate()
		close(b.done)
	}
}

// deflate compresses one block so that the blocks of a member, one after another, are one deflate stream: all but
// the last end with an empty stored block (a sync flush), which ends on a byte.
func (b *block) deflate() error {
	w, err := flate.NewWriterDict(&b.output, deflateLevel, b.input[:b.dict])
	if err != nil {
		return err
	}
	if _, err := w.Write(b.input[b.dict:]); err != nil {
		return err
	}
	if b.last {
		return w.Close()
	}
	return w.Flush()
}

// writeBlocks writes the blocks in order, a member at a time.
func writeBlocks(z *zipWriter, ordered <-chan *block) error {
	for first := range ordered {
		err := z.add(first.member, func(w io.Writer) (uint32, int64, error) {
			return writeMember(w, first, ordered)
		})
		if err != nil {
			return fmt.Errorf("compressing %q: %w", first.member.name, err)
		}
	}
	return nil
}

func writeMember(w io.Writer, b *block, ordered <-chan *block) (crc uint32, size int64, err error) {
	for {
		<-b.done
		if b.err != nil {
			return 0, 0, b.err
		}
		crc = crcOf(crc, b.input[b.dict:])
		size += int64(len(b.input) - b.dict)
		if _, err := w.Write(b.output.Bytes()); err != nil {
			return 0, 0, err
		}
		if b.last {
			return crc, size, nil
		}
		next, ok := <-ordered
		if !ok {
			return 0, 0, context.Canceled
		}
		b = next
	}
}
