package verify

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Bounds on what is read of one ELF file. Real files stay far below each; one that does not is refused as damaged.
const (
	maxSegments  = 1 << 10
	maxDynamic   = 64 << 10 // bytes of the dynamic table
	maxVersions  = 64 << 10 // bytes of a table of versions
	maxString    = 4 << 10  // bytes of a name
	maxNeeded    = 1 << 12
	maxRetained  = 8 << 20   // bytes of a string table read in one piece
	maxSearched  = 256 << 20 // bytes of a string table that are searched
	verNeedWeak  = 0x2       // VER_FLG_WEAK: ld.so does without
	verFlagBase  = 0x1       // VER_FLG_BASE: the library's own name, no version
	dynEntrySize = 16        // of a 64-bit file; half of it in a 32-bit one
)

// errELF is a file whose headers contradict themselves.
var errELF = errors.New("its ELF headers contradict themselves")

// elfReader reads what the dynamic linker would, by the program headers alone: a stripped file has no sections.
type elfReader struct {
	*content
	order   binary.ByteOrder
	is64    bool
	loads   []segment
	strings struct {
		off, size int64
		data      []byte // the whole table, where it is small
	}
}

type segment struct{ vaddr, off, size uint64 }

// readELF reads an ELF file; nil where it is no shared object or executable.
func readELF(c *content, name string) (*ELF, error) {
	var h [64]byte
	if err := c.readAt(h[:min(int64(len(h)), c.file.Size)], 0); err != nil {
		return nil, err
	}
	r := &elfReader{content: c, order: binary.LittleEndian, is64: h[elf.EI_CLASS] == byte(elf.ELFCLASS64)}
	e := &ELF{Bits: 32}
	if r.is64 {
		e.Bits = 64
	}
	if h[elf.EI_DATA] == byte(elf.ELFDATA2MSB) {
		r.order, e.BigEndian = binary.BigEndian, true
	}
	kind := elf.Type(r.order.Uint16(h[16:]))
	if kind != elf.ET_DYN && kind != elf.ET_EXEC {
		return nil, nil // object files and the like are never loaded
	}
	e.Machine = r.order.Uint16(h[18:])
	e.Program = kind == elf.ET_EXEC
	dynamic, err := r.segments(h[:], e)
	if err != nil {
		return nil, err
	}
	if dynamic.size == 0 {
		return e, nil
	}
	return e, r.dynamic(e, dynamic, name)
}

// word reads an address or an offset at p.
func (r *elfReader) word(p []byte) uint64 {
	if r.is64 {
		return r.order.Uint64(p)
	}
	return uint64(r.order.Uint32(p))
}

// segments reads the program headers and returns the one of the dynamic table.
func (r *elfReader) segments(h []byte, e *ELF) (dynamic segment, err error) {
	off, size, count := r.word(h[28:]), 32, int(r.order.Uint16(h[44:]))
	entry := int(r.order.Uint16(h[42:]))
	if r.is64 {
		off, size, count, entry = r.word(h[32:]), 56, int(r.order.Uint16(h[56:])), int(r.order.Uint16(h[54:]))
	}
	if count == 0 {
		return segment{}, nil
	}
	if count > maxSegments || entry != size || off > uint64(r.file.Size) {
		return segment{}, errELF
	}
	table := make([]byte, count*size)
	if err := r.readAt(table, int64(off)); err != nil {
		return segment{}, err
	}
	var interp segment
	for ; len(table) > 0; table = table[size:] {
		s := segment{off: r.word(table[4:]), vaddr: r.word(table[8:]), size: r.word(table[16:])}
		if r.is64 {
			s = segment{off: r.word(table[8:]), vaddr: r.word(table[16:]), size: r.word(table[32:])}
		}
		switch elf.ProgType(r.order.Uint32(table)) {
		case elf.PT_LOAD:
			r.loads = append(r.loads, s)
		case elf.PT_DYNAMIC:
			dynamic = s
		case elf.PT_INTERP:
			interp = s
		}
	}
	if interp.size > 0 && interp.size <= maxString && interp.off <= uint64(r.file.Size) {
		text := make([]byte, interp.size)
		if err := r.readAt(text, int64(interp.off)); err != nil {
			return segment{}, err
		}
		e.Interp, e.Program = string(bytes.TrimRight(text, "\x00")), true
	}
	return dynamic, nil
}

// offset turns an address into an offset of the file.
func (r *elfReader) offset(vaddr uint64) (int64, error) {
	for _, s := range r.loads {
		if vaddr >= s.vaddr && vaddr-s.vaddr < s.size {
			if off := vaddr - s.vaddr + s.off; off < uint64(r.file.Size) {
				return int64(off), nil
			}
		}
	}
	return 0, errELF
}

// dynamic reads the dynamic table and what it leads to.
func (r *elfReader) dynamic(e *ELF, s segment, name string) error {
	if s.off > uint64(r.file.Size) || s.size > maxDynamic {
		return errELF
	}
	table := make([]byte, s.size)
	if err := r.readAt(table, int64(s.off)); err != nil {
		return err
	}
	values, needed, err := r.dynamicEntries(table)
	if err != nil || values[elf.DT_STRTAB] == 0 {
		return err
	}
	if r.strings.off, err = r.offset(values[elf.DT_STRTAB]); err != nil {
		return err
	}
	r.strings.size = int64(min(values[elf.DT_STRSZ], uint64(r.file.Size-r.strings.off)))
	need, define, err := r.tables(values)
	if err != nil {
		return err
	}
	for _, off := range needed {
		library, err := r.name(off)
		if err != nil {
			return err
		}
		e.Needed = append(e.Needed, library)
	}
	for tag, field := range map[elf.DynTag]*string{elf.DT_SONAME: &e.Soname, elf.DT_RPATH: &e.RPath, elf.DT_RUNPATH: &e.RunPath} {
		if off, ok := values[tag]; ok {
			if *field, err = r.name(off); err != nil {
				return err
			}
		}
	}
	if e.Versions, err = r.versionNeeds(need, values[elf.DT_VERNEEDNUM]); err != nil {
		return err
	}
	if e.Defines, err = r.versionDefinitions(define, values[elf.DT_VERDEFNUM]); err != nil {
		return err
	}
	e.Init, err = r.definesInit(name)
	return err
}

// dynamicEntries returns the last value of each tag, and every DT_NEEDED.
func (r *elfReader) dynamicEntries(table []byte) (values map[elf.DynTag]uint64, needed []uint64, err error) {
	size := dynEntrySize
	if !r.is64 {
		size /= 2
	}
	values = map[elf.DynTag]uint64{}
	for ; len(table) >= size; table = table[size:] {
		tag, value := elf.DynTag(r.word(table)), r.word(table[size/2:])
		if tag == elf.DT_NULL {
			break
		}
		if tag == elf.DT_NEEDED {
			if needed = append(needed, value); len(needed) > maxNeeded {
				return nil, nil, errELF
			}
		}
		values[tag] = value
	}
	return values, needed, nil
}

// tables reads the string table and both tables of versions, in the order in which they lie in the file: each may be
// anywhere, as tools that edit ELF files move what they lengthen to the end.
func (r *elfReader) tables(values map[elf.DynTag]uint64) (need, define []byte, err error) {
	type part struct {
		off  int64
		size int64
		into *[]byte
	}
	var parts []part
	if r.strings.size <= maxRetained {
		parts = append(parts, part{r.strings.off, r.strings.size, &r.strings.data})
	}
	for tag, into := range map[elf.DynTag]*[]byte{elf.DT_VERNEED: &need, elf.DT_VERDEF: &define} {
		if values[tag] == 0 {
			continue
		}
		off, err := r.offset(values[tag])
		if err != nil {
			return nil, nil, err
		}
		parts = append(parts, part{off, min(maxVersions, r.file.Size-off), into})
	}
	slices.SortFunc(parts, func(a, b part) int { return int(a.off - b.off) })
	for _, p := range parts {
		*p.into = make([]byte, p.size)
		if err := r.readAt(*p.into, p.off); err != nil {
			return nil, nil, err
		}
	}
	return need, define, nil
}

// name returns the string at an offset of the string table.
func (r *elfReader) name(off uint64) (string, error) {
	if off >= uint64(r.strings.size) {
		return "", errELF
	}
	var text []byte
	if r.strings.data != nil {
		text = r.strings.data[off:]
	} else {
		text = make([]byte, min(maxString, r.strings.size-int64(off)))
		if err := r.readAt(text, r.strings.off+int64(off)); err != nil {
			return "", err
		}
	}
	end := bytes.IndexByte(text[:min(len(text), maxString)], 0)
	if end < 0 {
		return "", errELF
	}
	return string(text[:end]), nil
}

// versionNeeds reads the chain of Elf_Verneed: a library each, and of each a chain of Elf_Vernaux, a version each.
func (r *elfReader) versionNeeds(table []byte, count uint64) ([]Versions, error) {
	var all []Versions
	for at := uint64(0); count > 0 && table != nil; count-- {
		if at+16 > uint64(len(table)) || len(all) > maxNeeded {
			return nil, errELF
		}
		p := table[at:]
		library, err := r.name(uint64(r.order.Uint32(p[4:])))
		if err != nil {
			return nil, err
		}
		v := Versions{Library: library}
		aux := at + uint64(r.order.Uint32(p[8:]))
		for n := r.order.Uint16(p[2:]); n > 0; n-- {
			if aux+16 > uint64(len(table)) || len(v.Names) > maxNeeded {
				return nil, errELF
			}
			version, err := r.name(uint64(r.order.Uint32(table[aux+8:])))
			if err != nil {
				return nil, err
			}
			if r.order.Uint16(table[aux+4:])&verNeedWeak != 0 {
				v.Weak = append(v.Weak, version)
			} else {
				v.Names = append(v.Names, version)
			}
			next := uint64(r.order.Uint32(table[aux+12:]))
			if next == 0 {
				break
			}
			aux += next
		}
		all = append(all, v)
		next := uint64(r.order.Uint32(p[12:]))
		if next == 0 {
			break
		}
		at += next
	}
	return all, nil
}

// versionDefinitions reads the chain of Elf_Verdef, whose first Elf_Verdaux is the version's name.
func (r *elfReader) versionDefinitions(table []byte, count uint64) ([]string, error) {
	var all []string
	for at := uint64(0); count > 0 && table != nil; count-- {
		if at+20 > uint64(len(table)) || len(all) > maxNeeded {
			return nil, errELF
		}
		p := table[at:]
		aux := at + uint64(r.order.Uint32(p[12:]))
		if aux+8 > uint64(len(table)) {
			return nil, errELF
		}
		if r.order.Uint16(p[2:])&verFlagBase == 0 {
			version, err := r.name(uint64(r.order.Uint32(table[aux:])))
			if err != nil {
				return nil, err
			}
			all = append(all, version)
		}
		next := uint64(r.order.Uint32(p[16:]))
		if next == 0 {
			break
		}
		at += next
	}
	return all, nil
}

// definesInit says whether the string table has the name of the function that Python calls when it imports the file
// (https://docs.python.org/3/c-api/extension-modules.html). Other shared objects have no reason to.
func (r *elfReader) definesInit(name string) (bool, error) {
	module, _, _ := strings.Cut(path.Base(name), ".")
	want := []byte("\x00PyInit_" + module + "\x00")
	if r.strings.data != nil {
		return bytes.Contains(r.strings.data, want), nil
	}
	if r.strings.size > maxSearched || len(want) > maxString {
		return false, nil
	}
	buf := make([]byte, scratchBytes)
	for off := int64(0); off < r.strings.size; off += scratchBytes - int64(len(want)) {
		part := buf[:min(scratchBytes, r.strings.size-off)]
		if err := r.readAt(part, r.strings.off+off); err != nil {
			return false, fmt.Errorf("searching its string table: %w", err)
		}
		if bytes.Contains(part, want) {
			return true, nil
		}
	}
	return false, nil
}
