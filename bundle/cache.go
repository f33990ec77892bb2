package bundle

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sample-python-arm64-lambda/bundle/target"
	"sample-python-arm64-lambda/bundle/verify"
)

// cacheFormat is part of every key, as verify.FactsVersion is: a bundle must never be judged by facts of an older kind.
// It is raised when the same inputs give other bytes.
const cacheFormat = 1

// staleAfter is the age at which the work folder of a build that was killed is removed.
const staleAfter = 24 * time.Hour

// cache keeps dependency trees by key, each in a folder of its own that appears complete by rename.
type cache struct{ dir string }

// entry is one dependency tree in the cache.
type entry struct {
	dir  string
	meta entryMeta
}

// entryMeta is what a bundle needs to know of the dependencies without reading them again.
type entryMeta struct {
	PrefixBytes   int64    `json:"prefixBytes"`  // of deps.zip: the members, without the central directory
	CentralBytes  int64    `json:"centralBytes"` // of deps.zip: the central directory's records
	Members       int      `json:"members"`
	UnzippedBytes int64    `json:"unzippedBytes"`
	HashState     []byte   `json:"hashState"` // SHA-256 after the prefix (encoding.BinaryMarshaler)
	Notes         []string `json:"notes"`
	Image         string   `json:"image,omitempty"`   // the image that the tree is from
	BuildID       string   `json:"buildID,omitempty"` // the build argument that made it
}

// cacheKey names a tree by all that decides its bytes.
func cacheKey(t target.Target, b Builder, inputs ...string) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%d.%d %s %s %s %q", cacheFormat, verify.FactsVersion, t.Runtime.Name, t.Arch, b, inputs) //nolint:errcheck // a hash never fails
	return hex.EncodeToString(sum.Sum(nil))
}

func (e *entry) zip() string   { return filepath.Join(e.dir, "deps.zip") }
func (e *entry) facts() string { return filepath.Join(e.dir, "facts.json") }

// load returns the entry of key; os.ErrNotExist where there is none, another error where it is damaged.
func (c cache) load(key string) (*entry, error) {
	e := &entry{dir: filepath.Join(c.dir, key)}
	data, err := os.ReadFile(filepath.Join(e.dir, "meta.json"))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &e.meta); err != nil {
		return nil, fmt.Errorf("reading cache entry %q: %w", e.dir, err)
	}
	info, err := os.Stat(e.zip())
	if err != nil {
		return nil, fmt.Errorf("reading cache entry: %v", err)
	}
	if want := e.meta.PrefixBytes + e.meta.CentralBytes + endBytes; info.Size() != want {
		return nil, fmt.Errorf("cache entry %q is damaged: deps.zip has %d bytes, want %d", e.dir, info.Size(), want)
	}
	return e, nil
}

// endBytes is the size of the zip format's end record without a comment.
const endBytes = 22

// build makes the entry of key from the tree that fill makes, in a work folder that is gone afterwards.
func (c cache) build(ctx context.Context, key string, opts Options, fill func(work string) (tree, error)) (*entry, error) {
	work, err := c.workFolder()
	if err != nil {
		return nil, &Error{What: fmt.Sprintf("the cache folder %q cannot be written", c.dir), Cure: "name another one with -cache (BUNDLE_CACHE_DIR for the program)", Err: err}
	}
	defer os.RemoveAll(work) //nolint:errcheck // swept by a later build where it stays
	made, err := fill(work)
	if err != nil {
		return nil, err
	}
	e := &entry{dir: filepath.Join(work, "entry"), meta: entryMeta{Notes: made.notes, Image: made.image, BuildID: made.buildID}}
	if err := os.Mkdir(e.dir, 0o755); err != nil {
		return nil, err
	}
	if err := e.fill(ctx, made, opts); err != nil {
		return nil, err
	}
	final := filepath.Join(c.dir, key)
	if err := replaceFolder(e.dir, final); err != nil {
		return nil, fmt.Errorf("keeping dependencies: %w", err)
	}
	e.dir = final
	return e, nil
}

// workFolder makes a folder beside the entries, so that a rename is enough, and sweeps those of killed builds.
func (c cache) workFolder() (string, error) {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return "", err
	}
	old, err := filepath.Glob(filepath.Join(c.dir, "work-*"))
	if err != nil {
		return "", err
	}
	for _, dir := range old {
		if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) > staleAfter {
			os.RemoveAll(dir) //nolint:errcheck // tried again next time
		}
	}
	dir, err := filepath.Abs(c.dir) // uv runs in another folder
	if err != nil {
		return "", err
	}
	return os.MkdirTemp(dir, "work-")
}

// replaceFolder renames a complete folder to its final name. One that another build put there meanwhile is as good.
func replaceFolder(from, to string) error {
	err := os.Rename(from, to)
	if errors.Is(err, fs.ErrExist) || err != nil && exists(to) {
		aside := from + "-old"
		if err := os.Rename(to, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err = os.Rename(from, to); err != nil && exists(to) {
			return nil
		}
	}
	return err
}

func exists(file string) bool { _, err := os.Stat(file); return err == nil }

// fill writes the entry's files from a tree.
func (e *entry) fill(ctx context.Context, made tree, opts Options) error {
	members, err := normalize(ctx, made.dir, made.builtHere)
	if err != nil {
		return err
	}
	for i := range members {
		e.meta.UnzippedBytes += members[i].size
	}
	opts.progress("scanning and compressing %d files, %d MB", len(members), e.meta.UnzippedBytes>>20)
	facts, err := verify.Scan(ctx, verifyFiles(members))
	if err != nil {
		return fmt.Errorf("scanning dependencies: %w", err)
	}
	if err := writeJSON(e.facts(), facts); err != nil {
		return err
	}
	if err := e.deflate(ctx, members); err != nil {
		return err
	}
	return writeJSON(filepath.Join(e.dir, "meta.json"), e.meta)
}

// deflate writes deps.zip, and keeps the state of its SHA-256 where the central directory begins.
func (e *entry) deflate(ctx context.Context, members []member) (err error) {
	f, err := os.Create(e.zip())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buffered := bufio.NewWriterSize(f, 1<<20)
	sum := sha256.New()
	z := &zipWriter{w: io.MultiWriter(buffered, sum)}
	if err := deflateAll(ctx, z, members); err != nil {
		return err
	}
	if e.meta.HashState, err = sum.(encoding.BinaryMarshaler).MarshalBinary(); err != nil {
		return err
	}
	e.meta.PrefixBytes, e.meta.CentralBytes, e.meta.Members = z.offset, int64(z.central.Len()), z.count
	if err := z.finish(); err != nil {
		return err
	}
	return buffered.Flush()
}

// resume copies the dependencies to the start of f, by the kernel where it can, and returns a writer and a running
// SHA-256 that stand behind them.
func (e *entry) resume(f *os.File) (*zipWriter, hash.Hash, error) {
	deps, err := os.Open(e.zip())
	if err != nil {
		return nil, nil, err
	}
	defer deps.Close() //nolint:errcheck // opened for reading
	if _, err := io.CopyN(f, deps, e.meta.PrefixBytes); err != nil {
		return nil, nil, fmt.Errorf("copying dependencies: %w", err)
	}
	sum := sha256.New()
	if err := sum.(encoding.BinaryUnmarshaler).UnmarshalBinary(e.meta.HashState); err != nil {
		return nil, nil, fmt.Errorf("resuming SHA-256: %w", err)
	}
	z := &zipWriter{w: io.MultiWriter(f, sum), offset: e.meta.PrefixBytes, count: e.meta.Members}
	if _, err := io.CopyN(&z.central, deps, e.meta.CentralBytes); err != nil {
		return nil, nil, fmt.Errorf("copying the dependencies' directory: %w", err)
	}
	return z, sum, nil
}

func writeJSON(file string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o644)
}
