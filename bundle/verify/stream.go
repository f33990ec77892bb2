package verify

import (
	"errors"
	"fmt"
	"io"
)

// spoolBytes of each file's start are kept while it is read, because the tables there are asked for after those at the
// end. What lies beyond and before is read in a second pass.
const spoolBytes = 512 << 10

// errShort says that a file ends before a part that its headers speak of.
var errShort = errors.New("it ends before what its headers announce")

// content reads parts of a file in any order. Going forward is cheap on a stream, going back beyond the spool is not.
type content struct {
	file    *File
	r       io.ReadCloser
	random  io.ReaderAt // the same, where it can be read in any order
	pos     int64
	spool   []byte // the first bytes of the stream
	scratch []byte
	again   int // how often it was begun again
}

// maxAgain bounds how often a file is read from its start again: real ones need it a few times.
const maxAgain = 16

// openContent opens a file to be read in parts; buf is memory to be used again, of any size.
func openContent(f *File, buf *[]byte) (*content, error) {
	if cap(*buf) < spoolBytes+scratchBytes {
		*buf = make([]byte, spoolBytes+scratchBytes)
	}
	c := &content{file: f, spool: (*buf)[:0:spoolBytes], scratch: (*buf)[spoolBytes : spoolBytes+scratchBytes]}
	return c, c.open()
}

const scratchBytes = 64 << 10

func (c *content) open() error {
	r, err := c.file.Open()
	if err != nil {
		return err
	}
	c.r, c.pos = r, 0
	c.random, _ = r.(io.ReaderAt)
	return nil
}

func (c *content) close() error { return c.r.Close() }

// readAt fills p from offset off. A file that is too short is errShort.
func (c *content) readAt(p []byte, off int64) error {
	if off < 0 || off > c.file.Size || int64(len(p)) > c.file.Size-off {
		return errShort
	}
	if c.random != nil {
		_, err := c.random.ReadAt(p, off)
		return short(err, len(p))
	}
	if n := int64(len(c.spool)); off < n {
		k := copy(p, c.spool[off:])
		p, off = p[k:], off+int64(k)
		if len(p) == 0 {
			return nil
		}
	}
	if err := c.seek(off); err != nil {
		return err
	}
	n, err := io.ReadFull(c.r, p)
	c.keep(p[:n])
	return short(err, len(p))
}

func short(err error, n int) error {
	if n == 0 || err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errShort
	}
	return err
}

// seek reads on to off, from the start again where that is behind.
func (c *content) seek(off int64) error {
	if off < c.pos {
		if c.again++; c.again > maxAgain {
			return errELF
		}
		if err := c.close(); err != nil {
			return err
		}
		if err := c.open(); err != nil {
			return fmt.Errorf("reading it again: %w", err)
		}
	}
	for c.pos < off {
		n, err := io.ReadFull(c.r, c.scratch[:min(int64(len(c.scratch)), off-c.pos)])
		c.keep(c.scratch[:n])
		if err != nil {
			return short(err, 1)
		}
	}
	return nil
}

// keep moves on past p, which was read, and spools what of it is new.
func (c *content) keep(p []byte) {
	if done := int64(len(c.spool)); c.pos <= done && c.pos+int64(len(p)) > done && done < spoolBytes {
		fresh := p[done-c.pos:]
		c.spool = append(c.spool, fresh[:min(len(fresh), spoolBytes-len(c.spool))]...)
	}
	c.pos += int64(len(p))
}
