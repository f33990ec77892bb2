package bundle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// installerFiles are what pip and uv write into a dist-info folder about the installation itself: each writes others,
// some with paths of the host.
var installerFiles = []string{"INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"}

// normalize lists a dependency tree as the members of a zip, cut to what every installer agrees on, so that two
// builders of the same wheels give the same bytes. builtHere names the packages (PEP 503) whose wheel was built from
// source on this host: the tool that built it is taken out of WHEEL.
func normalize(ctx context.Context, tree string, builtHere []string) ([]member, error) {
	members, err := listTree(tree)
	if err != nil {
		return nil, fmt.Errorf("listing dependencies: %w", err)
	}
	if err := readSums(ctx, members); err != nil {
		return nil, fmt.Errorf("reading dependencies: %w", err)
	}
	members = slices.DeleteFunc(members, isConsoleScript)
	for i := range members {
		m := &members[i]
		if dist, file := path.Split(m.name); file == "WHEEL" && slices.Contains(builtHere, distName(dist)) {
			if err := dropGenerator(m); err != nil {
				return nil, fmt.Errorf("normalising %q: %w", m.name, err)
			}
		}
	}
	return members, rewriteRecords(members)
}

// listTree lists the names of what ships of a dependency tree, sorted.
func listTree(tree string) ([]member, error) {
	var members []member
	err := filepath.WalkDir(tree, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == "__pycache__" {
				return filepath.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(tree, file)
		if err != nil {
			return err
		}
		if name := filepath.ToSlash(rel); !dropped(name) {
			members = append(members, member{name: name, path: file})
		}
		return nil
	})
	sortMembers(members)
	return members, err
}

// readSums reads the files once, several at a time, for their sizes, modes and digests.
func readSums(ctx context.Context, members []member) error {
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			sum, buf := sha256.New(), make([]byte, 64<<10)
			for i := next.Add(1) - 1; i < int64(len(members)) && ctx.Err() == nil; i = next.Add(1) - 1 {
				if err := members[i].readSum(sum, buf); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	return group.Wait()
}

func (m *member) readSum(sum hash.Hash, buf []byte) error {
	f, err := os.Open(m.path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	sum.Reset()
	for m.size, m.crc = 0, 0; ; {
		n, err := io.ReadFull(f, buf)
		if m.size == 0 {
			m.mode = modeOf(buf[:n])
		}
		m.size += int64(n)
		m.crc = crcOf(m.crc, buf[:n])
		sum.Write(buf[:n]) //nolint:errcheck // a hash never fails
		if err != nil {
			sum.Sum(m.sum[:0])
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil
			}
			return err
		}
	}
}

// dropped says that a file tells of the installation, not of the package.
func dropped(name string) bool {
	dir, file := path.Split(name)
	return name == ".lock" || strings.HasSuffix(file, ".pyc") ||
		strings.HasSuffix(dir, ".dist-info/") && slices.Contains(installerFiles, file)
}

// isConsoleScript says that a file is a command the installer wrote for this host: its first line names the host's
// Python. Nothing runs it on Lambda.
func isConsoleScript(m member) bool {
	switch path.Dir(m.name) {
	case "bin":
		return m.mode == 0o755 && !isELF(&m)
	case "Scripts": // the same on Windows
		return strings.HasSuffix(m.name, ".exe") || m.mode == 0o755 && !isELF(&m)
	}
	return false
}

func isELF(m *member) bool {
	f, err := m.open()
	if err != nil {
		return false
	}
	defer f.Close() //nolint:errcheck // opened for reading
	magic := make([]byte, 4)
	_, err = io.ReadFull(f, magic)
	return err == nil && string(magic) == "\x7fELF"
}

// distName returns the normalised package name of "pydantic_core-2.27.2.dist-info/".
func distName(dir string) string {
	name, _, _ := strings.Cut(strings.TrimSuffix(path.Base(dir), ".dist-info"), "-")
	return projectName(name)
}

// dropGenerator replaces the line that names the build tool and its version.
func dropGenerator(m *member) error {
	data, err := m.read()
	if err != nil {
		return err
	}
	lines := bytes.Split(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")), []byte("\n"))
	for i, line := range lines {
		if bytes.HasPrefix(line, []byte("Generator:")) {
			lines[i] = []byte("Generator: bundle")
		}
	}
	m.setData(bytes.Join(lines, []byte("\n")))
	return nil
}

// setData replaces the content.
func (m *member) setData(data []byte) {
	m.path, m.data, m.size, m.sum, m.crc = "", data, int64(len(data)), sha256.Sum256(data), crcOf(0, data)
}

// rewriteRecords writes each dist-info's RECORD anew: what ships of the old one, sorted, with hashes of what ships
// (https://packaging.python.org/en/latest/specifications/recording-installed-packages/).
func rewriteRecords(members []member) error {
	byName := map[string]*member{}
	for i := range members {
		byName[members[i].name] = &members[i]
	}
	for i := range members {
		m := &members[i]
		if path.Base(m.name) != "RECORD" || !strings.HasSuffix(path.Dir(m.name), ".dist-info") {
			continue
		}
		text, err := newRecord(m, byName)
		if err != nil {
			return fmt.Errorf("rewriting %q: %w", m.name, err)
		}
		m.setData(text)
	}
	return nil
}

func newRecord(m *member, byName map[string]*member) ([]byte, error) {
	old, err := m.read()
	if err != nil {
		return nil, err
	}
	reader := csv.NewReader(bytes.NewReader(old))
	reader.FieldsPerRecord = -1
	rows, err := reader.ReadAll()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, row := range rows {
		name := path.Clean(strings.ReplaceAll(row[0], `\`, "/"))
		if byName[name] != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	for _, name := range slices.Compact(names) {
		row := []string{name, "", ""}
		if ships := byName[name]; ships != m {
			row = []string{name, "sha256=" + base64.RawURLEncoding.EncodeToString(ships.sum[:]), fmt.Sprint(ships.size)}
		}
		if err := w.Write(row); err != nil {
			return nil, err
		}
	}
	w.Flush()
	return out.Bytes(), w.Error()
}
