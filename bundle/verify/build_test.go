package verify_test

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"sample-python-arm64-lambda/bundle/target"
	"sample-python-arm64-lambda/bundle/verify"
)

// object describes an ELF file to be made.
type object struct {
	machine  elf.Machine
	kind     elf.Type
	bits32   bool
	big      bool
	needed   []string
	soname   string
	rpath    string
	runpath  string
	versions map[string][]string // needed, by library
	defines  []string
	symbols  []string
	interp   string
	// padding is how many bytes lie between the header and the tables, and tail moves the string table behind them, as
	// tools that edit ELF files do.
	padding int
	tail    bool
}

// bytes writes a 64-bit ELF file (or the header of a 32-bit one) with program headers, a dynamic table and versions.
func (o object) bytes() []byte {
	var order binary.ByteOrder = binary.LittleEndian
	if o.big {
		order = binary.BigEndian
	}
	text := []byte{0}
	offsets := map[string]uint64{}
	name := func(s string) uint64 {
		if off, ok := offsets[s]; ok {
			return off
		}
		offsets[s] = uint64(len(text))
		text = append(append(text, s...), 0)
		return offsets[s]
	}
	var dynamic []uint64
	entry := func(tag elf.DynTag, value uint64) { dynamic = append(dynamic, uint64(tag), value) }
	for _, n := range o.needed {
		entry(elf.DT_NEEDED, name(n))
	}
	for tag, value := range map[elf.DynTag]string{elf.DT_SONAME: o.soname, elf.DT_RPATH: o.rpath, elf.DT_RUNPATH: o.runpath} {
		if value != "" {
			entry(tag, name(value))
		}
	}
	for _, s := range o.symbols {
		name(s)
	}
	need := o.verneed(order, name)
	def := o.verdef(order, name)
	const headers = 64 + 4*56
	at := uint64(headers + o.padding)
	place := func(data []byte) uint64 { off := at; at += uint64(len(data)); return off }
	interp := place([]byte(o.interp))
	var str uint64
	if !o.tail {
		str = place(text)
	}
	needAt, defAt := place(need), place(def)
	dynAt := at
	at += uint64(16 * (len(dynamic)/2 + 8))
	if o.tail {
		str = place(text)
	}
	entry(elf.DT_STRTAB, str)
	entry(elf.DT_STRSZ, uint64(len(text)))
	if len(need) > 0 {
		entry(elf.DT_VERNEED, needAt)
		entry(elf.DT_VERNEEDNUM, uint64(len(o.versions)))
	}
	if len(def) > 0 {
		entry(elf.DT_VERDEF, defAt)
		entry(elf.DT_VERDEFNUM, uint64(len(o.defines)+1))
	}
	entry(elf.DT_NULL, 0)

	out := make([]byte, at)
	copy(out, "\x7fELF")
	out[elf.EI_CLASS], out[elf.EI_DATA], out[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1
	if o.big {
		out[elf.EI_DATA] = byte(elf.ELFDATA2MSB)
	}
	kind := o.kind
	if kind == 0 {
		kind = elf.ET_DYN
	}
	order.PutUint16(out[16:], uint16(kind))
	order.PutUint16(out[18:], uint16(o.machine))
	if o.bits32 {
		out[elf.EI_CLASS] = byte(elf.ELFCLASS32)
		return out
	}
	order.PutUint64(out[32:], 64)
	order.PutUint16(out[54:], 56)
	segment := func(i int, kind elf.ProgType, off, size uint64) {
		p := out[64+56*i:]
		order.PutUint32(p, uint32(kind))
		order.PutUint64(p[8:], off)
		order.PutUint64(p[16:], off)
		order.PutUint64(p[32:], size)
	}
	segment(0, elf.PT_LOAD, 0, at)
	segment(1, elf.PT_DYNAMIC, dynAt, uint64(8*len(dynamic)))
	count := uint16(2)
	if o.interp != "" {
		segment(2, elf.PT_INTERP, interp, uint64(len(o.interp)))
		count = 3
	}
	order.PutUint16(out[56:], count)
	copy(out[interp:], o.interp)
	copy(out[str:], text)
	copy(out[needAt:], need)
	copy(out[defAt:], def)
	for i, v := range dynamic {
		order.PutUint64(out[dynAt+uint64(8*i):], v)
	}
	return out
}

func (o object) verneed(order binary.ByteOrder, name func(string) uint64) []byte {
	var out bytes.Buffer
	w := func(v any) { binary.Write(&out, order, v) } //nolint:errcheck // a buffer
	left := len(o.versions)
	for library, versions := range o.versions {
		left--
		next := uint32(16 + 16*len(versions))
		if left == 0 {
			next = 0
		}
		w(uint16(1))
		w(uint16(len(versions)))
		w(uint32(name(library)))
		w(uint32(16))
		w(next)
		for i, v := range versions {
			next := uint32(16)
			if i == len(versions)-1 {
				next = 0
			}
			w(uint32(0))
			w(uint16(0))
			w(uint16(2 + i))
			w(uint32(name(v)))
			w(next)
		}
	}
	return out.Bytes()
}

func (o object) verdef(order binary.ByteOrder, name func(string) uint64) []byte {
	if len(o.defines) == 0 {
		return nil
	}
	var out bytes.Buffer
	w := func(v any) { binary.Write(&out, order, v) } //nolint:errcheck // a buffer
	for i, v := range append([]string{"base"}, o.defines...) {
		flags, next := uint16(0), uint32(28)
		if i == 0 {
			flags = 1
		}
		if i == len(o.defines) {
			next = 0
		}
		w(uint16(1))
		w(flags)
		w(uint16(i + 1))
		w(uint16(1))
		w(uint32(0))
		w(uint32(20))
		w(next)
		w(uint32(name(v)))
		w(uint32(0))
	}
	return out.Bytes()
}

// aarch64 is an extension module that the default target loads.
func aarch64(change ...func(*object)) string {
	o := object{machine: elf.EM_AARCH64, needed: []string{"libc.so.6"}, versions: map[string][]string{"libc.so.6": {"GLIBC_2.17"}}, symbols: []string{"PyInit__x"}}
	for _, c := range change {
		c(&o)
	}
	return string(o.bytes())
}

// files makes a bundle in memory.
func files(content map[string]string) []verify.File {
	var all []verify.File
	for name, text := range content {
		all = append(all, verify.File{Name: name, Size: int64(len(text)), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewBufferString(text)), nil
		}})
	}
	return all
}

func scan(t testing.TB, content map[string]string) *verify.Facts {
	t.Helper()
	facts, err := verify.Scan(t.Context(), files(content))
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

func judgeDefault(t testing.TB, content map[string]string) *verify.Report {
	t.Helper()
	return scan(t, content).Judge(target.Default, verify.Options{})
}

// member is one of a zip that a test makes.
type member struct {
	name, content string
	mode          fs.FileMode
}

// writeZip makes a zip file.
func writeZip(t testing.TB, members ...member) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bundle.zip")
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(out)
	for _, m := range members {
		h := &zip.FileHeader{Name: m.name, Method: zip.Deflate}
		if len(m.content) < 8 {
			h.Method = zip.Store
		}
		if m.mode != 0 {
			h.SetMode(m.mode)
		}
		in, err := w.CreateHeader(h)
		if err == nil {
			_, err = io.WriteString(in, m.content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return file
}
