package bundle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"

	"github.com/klauspost/compress/flate"
	"golang.org/x/sync/semaphore"
)

const (
	// blockSize is how much one core deflates at a time, in bytes. It is part of the format of the bundle: another
	// value gives other bytes. 1 MiB keeps all cores busy on one big library, and costs 0.1 % in size.
	blockSize = 1 << 20
	// windowSize is what deflate looks back on (RFC 1951), in bytes: each block starts with the end of the one before.
	windowSize = 32 << 10
	// deflateLevel trades size for time; see docs/benchmarks.md.
	deflateLevel = 7
)

const (
	// maxWorkers bounds the memory where there are many cores.
	maxWorkers = 8
	// maxAhead and smallAhead are how many full and how many blocks may be under way: enough for no core to wait for a
	// block that another works on.
	maxAhead   = maxWorkers + 2
	smallAhead = 256
	smallBlock = 64 << 10
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

// wait waits until the block is deflated, or cannot be.
func (b *block) wait() error {
	if b.done != nil {
		<-b.done
	}
	return b.err
}

func (b *block) size() int { return len(b.input) - b.dict }

// deflater hands blocks from one reader to the deflaters, and in order to one writer.
type deflater struct {
	ctx           context.Context
	ordered, work chan *block
	ahead         *semaphore.Weighted // bytes that may still be read
	used          chan *block         // full blocks that were written, to be used again
}

// deflateAll writes members to z in their order, deflated on all cores, in memory that depends on the number of
// cores alone: blocks are handed out in order, and no more are under way than a few for each core. The bytes do not
// depend on the number of cores.
func deflateAll(parent context.Context, z *zipWriter, members []member) error {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	workers := min(runtime.GOMAXPROCS(0), maxWorkers)
	d := &deflater{
		ctx: ctx, ordered: make(chan *block, smallAhead), work: make(chan *block, smallAhead),
		ahead: semaphore.NewWeighted(min(int64(workers)*3, maxAhead) * blockSize), used: make(chan *block, maxAhead),
	}
	var group sync.WaitGroup
	group.Go(func() {
		defer close(d.ordered)
		defer close(d.work)
		for i := range members {
			if !d.read(&members[i]) {
				return
			}
		}
	})
	for range workers {
		group.Go(d.deflate)
	}
	err := d.write(z)
	cancel()
	for range d.ordered { // let the reader go
	}
	group.Wait()
	if err == nil {
		err = parent.Err()
	}
	return err
}

// read cuts a member into blocks; it says whether to go on.
func (d *deflater) read(m *member) bool {
	if m.deflated != nil {
		return d.send(&block{member: m})
	}
	content, err := m.open()
	if err != nil {
		return d.fail(m, err)
	}
	defer content.Close() //nolint:errcheck // opened for reading
	var tail []byte
	for left := m.size; ; {
		n := min(left, blockSize)
		if d.ahead.Acquire(d.ctx, weight(n)) != nil {
			return false
		}
		b := d.block(tail, int(n))
		b.member, b.done, b.last = m, make(chan struct{}), n == left
		if _, err := io.ReadFull(content, b.input[b.dict:]); err != nil {
			return d.fail(m, fmt.Errorf("the file shrank while it was read: %w", err))
		}
		if left -= n; left > 0 { // kept, since the block is used again once it was sent and written
			tail = append(tail[:0], b.input[max(0, len(b.input)-windowSize):]...)
		}
		if !d.send(b) {
			return false
		}
		if left == 0 {
			return true
		}
	}
}

// block returns a block for n bytes that follow dict.
func (d *deflater) block(dict []byte, n int) *block {
	b := &block{}
	if weight(int64(n)) == blockSize {
		select {
		case b = <-d.used:
			b.output.Reset()
		default:
			b.input = make([]byte, windowSize+blockSize)
		}
	}
	b.input = slices.Grow(b.input[:0], len(dict)+n)[:len(dict)+n]
	b.dict = copy(b.input, dict)
	return b
}

func (d *deflater) send(b *block) bool {
	select {
	case d.ordered <- b:
	case <-d.ctx.Done():
		return false
	}
	if b.done != nil {
		d.work <- b
	}
	return true
}

// fail lets the writer know; nothing follows.
func (d *deflater) fail(m *member, err error) bool {
	d.send(&block{member: m, err: err})
	return false
}

// writers are those that wait for a block: each has a megabyte of tables.
var writers sync.Pool

// deflate deflates blocks with one writer.
func (d *deflater) deflate() {
	var w *flate.Writer
	for b := range d.work {
		if w == nil {
			w, _ = writers.Get().(*flate.Writer)
		}
		if w == nil {
			w, b.err = flate.NewWriter(nil, deflateLevel)
		}
		if b.err == nil {
			b.err = b.deflate(w)
		}
		close(b.done)
	}
	if w != nil {
		writers.Put(w)
	}
}

// deflate compresses one block so that the blocks of a member, one after another, are one deflate stream: all but
// the last end with an empty stored block (a sync flush), which ends on a byte.
func (b *block) deflate(w *flate.Writer) error {
	w.ResetDict(&b.output, b.input[:b.dict])
	if _, err := w.Write(b.input[b.dict:]); err != nil {
		return err
	}
	if b.last {
		return w.Close()
	}
	return w.Flush()
}

// write writes the blocks in order, a member at a time.
func (d *deflater) write(z *zipWriter) error {
	for first := range d.ordered {
		var err error
		m := first.member
		if m.deflated != nil {
			err = z.copy(m.name, m.mode, m.deflated.crc, m.deflated.size, m.deflated.raw.Size(), m.deflated.stream())
		} else {
			err = z.add(m, func(w io.Writer) (uint32, int64, error) { return d.writeMember(w, first) })
		}
		if err != nil {
			return fmt.Errorf("compressing %q: %w", m.name, err)
		}
	}
	return nil
}

func (d *deflater) writeMember(w io.Writer, b *block) (crc uint32, size int64, err error) {
	m := b.member
	for {
		if err := b.wait(); err != nil {
			return 0, 0, err
		}
		crc = crcOf(crc, b.input[b.dict:])
		size += int64(b.size())
		if _, err := w.Write(b.output.Bytes()); err != nil {
			return 0, 0, err
		}
		last := b.last
		d.free(b)
		if last {
			return crc, size, m.unchanged(crc)
		}
		next, ok := <-d.ordered
		if !ok {
			return 0, 0, context.Canceled
		}
		b = next
	}
}

// unchanged refuses a file that is another than when its SHA-256 was taken, which stands in RECORD and in the cache.
func (m *member) unchanged(crc uint32) error {
	if m.sum != [sha256.Size]byte{} && crc != m.crc {
		return errors.New("the file changed while it was read")
	}
	return nil
}

// weight is the memory that n bytes take: a little, or that of a full block, which is used again.
func weight(n int64) int64 {
	if n < smallBlock {
		return n
	}
	return blockSize
}

// free makes room for another block.
func (d *deflater) free(b *block) {
	w := weight(int64(b.size()))
	if w == blockSize {
		d.used <- b // never more than there can be
	}
	d.ahead.Release(w)
}
