package bundle

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"sample-python-arm64-lambda/bundle/verify"
)

// member is one file of a zip before it is written: its name there, and where its bytes come from.
type member struct {
	name string
	size int64 // bytes
	path string
	data []byte // the content itself, where path is empty
	mode fs.FileMode

	sum      [sha256.Size]byte // of the content, where normalize listed it, and its CRC-32
	crc      uint32
	deflated *packed // the content as another zip has it, to be copied
}

// open returns the content.
func (m *member) open() (io.ReadCloser, error) {
	if m.path == "" {
		return io.NopCloser(bytes.NewReader(m.data)), nil
	}
	return os.Open(m.path)
}

// read returns the whole content.
func (m *member) read() ([]byte, error) {
	if m.path == "" {
		return m.data, nil
	}
	return os.ReadFile(m.path)
}

// newFileMember describes a file on disk. The mode is read from the content: a host's modes depend on its umask and
// its file system, and Windows has none.
func newFileMember(name, file string) (member, error) {
	f, err := os.Open(file)
	if err != nil {
		return member{}, err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	info, err := f.Stat()
	if err != nil {
		return member{}, err
	}
	magic := make([]byte, 4)
	n, err := io.ReadFull(f, magic)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return member{}, err
	}
	return member{name: name, size: info.Size(), path: file, mode: modeOf(magic[:n])}, nil
}

// modeOf returns 0755 for what can be executed, ELF files and scripts, and 0644 for all else.
func modeOf(content []byte) fs.FileMode {
	if bytes.HasPrefix(content, []byte("\x7fELF")) || bytes.HasPrefix(content, []byte("#!")) {
		return 0o755
	}
	return 0o644
}

// sortMembers puts members into the order of the zip: bytewise by name.
func sortMembers(members []member) {
	slices.SortFunc(members, func(a, b member) int { return cmp.Compare(a.name, b.name) })
}

// verifyFiles hands members to the verifier.
func verifyFiles(members []member) []verify.File {
	files := make([]verify.File, len(members))
	for i := range members {
		m := &members[i]
		files[i] = verify.File{Name: m.name, Size: m.size, Mode: m.mode, Open: m.open}
	}
	return files
}

// matchAny says whether name is matched by a pattern (path.Match): one with a slash against the whole name or one of
// the folders above it, one without against every element.
func matchAny(patterns []string, name string) bool {
	for _, p := range patterns {
		p = strings.TrimSuffix(p, "/")
		for rest := name; rest != "."; rest = path.Dir(rest) {
			subject := rest
			if !strings.Contains(p, "/") {
				subject = path.Base(rest)
			}
			if ok, _ := path.Match(strings.TrimPrefix(p, "/"), subject); ok {
				return true
			}
		}
	}
	return false
}
