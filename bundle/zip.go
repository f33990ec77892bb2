package bundle

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
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

// copy writes a member that is deflated already: packed bytes of r, as another zip has them, whose content has the
// CRC-32 and the size given.
func (z *zipWriter) copy(name string, mode fs.FileMode, crc uint32, size, packed int64, r io.Reader) error {
	return z.add(&member{name: name, mode: mode}, func(w io.Writer) (uint32, int64, error) {
		_, err := io.CopyN(w, r, packed)
		return crc, size, err
	})
}

// packed is a member of a zip that zipWriter wrote: where its deflate stream lies, and what its content is.
type packed struct {
	name string
	mode fs.FileMode
	crc  uint32 // CRC-32 of the content
	size int64  // bytes of the content
	raw  *io.SectionReader
}

// stream returns the deflate stream, from its start whoever reads it too.
func (p *packed) stream() io.Reader { return io.NewSectionReader(p.raw, 0, p.raw.Size()) }

// members lists what is in a zip by its central directory. The streams are read from r.
func members(r io.ReaderAt, size int64) ([]packed, error) {
	directory, err := zip.NewReader(r, size)
	if err != nil {
		return nil, err
	}
	all := make([]packed, len(directory.File))
	for i, f := range directory.File {
		offset, err := f.DataOffset()
		if err != nil {
			return nil, fmt.Errorf("reading the header of %q: %w", f.Name, err)
		}
		if f.Method != zip.Deflate {
			return nil, fmt.Errorf("reading the header of %q: method %d, want deflate", f.Name, f.Method)
		}
		all[i] = packed{f.Name, f.Mode().Perm(), f.CRC32, int64(f.UncompressedSize64), io.NewSectionReader(r, offset, int64(f.CompressedSize64))}
	}
	return all, nil
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
