package bundle

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"unicode/utf8"
)

// Signatures and fixed values of the zip format (PKWARE APPNOTE 6.3.9, sections 4.3 and 4.4).
const (
	sigLocal      = 0x04034b50
	sigDescriptor = 0x08074b50
	sigCentral    = 0x02014b50
	sigEnd        = 0x06054b50

	versionNeeded = 20          // deflate
	versionMadeBy = 3<<8 | 20   // Unix, so that the mode is read
	flagSizeLater = 1 << 3      // sizes and CRC follow the data: the zip is written in one pass
	flagUTF8      = 1 << 11     // the name is UTF-8
	methodDeflate = 8           // always, so that sizes after the data are no ambiguity
	dosEpoch      = 1<<5 | 1    // 1980-01-01, the format's first day: no clock reaches the zip
	regularFile   = 0o100000    // S_IFREG
	maxMembers    = 0xffff - 1  // beyond it a zip needs zip64
	maxZipBytes   = 1<<32 - 256 // likewise
)

// zipWriter writes a zip with nothing of the host in it. Members are written in the order they come; what it has
// written so far depends on them alone, so a zip's front is the same whatever follows.
type zipWriter struct {
	w       io.Writer
	offset  int64 // bytes written so far
	central bytes.Buffer
	count   int
}

// add writes one member: its header, what deflated yields, and its sizes.
func (z *zipWriter) add(m *member, deflated func(io.Writer) (crc uint32, size int64, err error)) error {
	if len(m.name) > math.MaxUint16 || z.count >= maxMembers || z.offset > maxZipBytes {
		return fmt.Errorf("writing %q: the bundle outgrows the zip format (%d members, %d bytes)", m.name, z.count, z.offset)
	}
	start, flags := z.offset, uint16(flagSizeLater)
	if !isASCII(m.name) {
		if !utf8.ValidString(m.name) {
			return fmt.Errorf("writing %q: the name is not UTF-8", m.name)
		}
		flags |= flagUTF8
	}
	var h header
	h.u32(sigLocal).u16(versionNeeded).u16(flags).u16(methodDeflate).u16(0).u16(dosEpoch)
	h.u32(0).u32(0).u32(0).u16(uint16(len(m.name))).u16(0).str(m.name)
	if err := z.write(h); err != nil {
		return err
	}
	body := z.offset
	crc, size, err := deflated(writerFunc(func(p []byte) (int, error) { return len(p), z.write(p) }))
	if err != nil {
		return err
	}
	packed := z.offset - body
	if size > maxZipBytes || packed > maxZipBytes {
		return fmt.Errorf("writing %q: %d bytes are more than a zip member holds", m.name, size)
	}
	var d header
	d.u32(sigDescriptor).u32(crc).u32(uint32(packed)).u32(uint32(size))
	if err := z.write(d); err != nil {
		return err
	}
	var c header
	c.u32(sigCentral).u16(versionMadeBy).u16(versionNeeded).u16(flags).u16(methodDeflate).u16(0).u16(dosEpoch)
	c.u32(crc).u32(uint32(packed)).u32(uint32(size)).u16(uint16(len(m.name))).u16(0).u16(0).u16(0).u16(0)
	c.u32(uint32(regularFile|m.mode.Perm()) << 16).u32(uint32(start)).str(m.name)
	z.central.Write(c)
	z.count++
	return nil
}

// finish writes the central directory.
func (z *zipWriter) finish() error {
	start := z.offset
	if err := z.write(z.central.Bytes()); err != nil {
		return err
	}
	var e header
	e.u32(sigEnd).u16(0).u16(0).u16(uint16(z.count)).u16(uint16(z.count))
	e.u32(uint32(z.central.Len())).u32(uint32(start)).u16(0)
	return z.write(e)
}

func (z *zipWriter) write(p []byte) error {
	n, err := z.w.Write(p)
	z.offset += int64(n)
	return err
}

// header is a record of the format, built field by field, little endian.
type header []byte

func (h *header) u16(v uint16) *header { *h = binary.LittleEndian.AppendUint16(*h, v); return h }
func (h *header) u32(v uint32) *header { *h = binary.LittleEndian.AppendUint32(*h, v); return h }
func (h *header) str(s string)         { *h = append(*h, s...) }

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// crcOf adds p to a running CRC-32.
func crcOf(crc uint32, p []byte) uint32 { return crc32.Update(crc, crc32.IEEETable, p) }
