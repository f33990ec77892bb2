package bundle

import (
	"bufio"
	"cmp"
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
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"sample-python-arm64-lambda/bundle/target"
	"sample-python-arm64-lambda/bundle/verify"
)

// cacheFormat is part of every key, as verify.FactsVersion is: a bundle must never be judged by facts of an older kind.
// It is raised when the same inputs give other bytes.
const cacheFormat = 2

const (
	// staleAfter is the age at which the work folder of a build that was killed is removed.
	staleAfter = 24 * time.Hour
	// unusedAfter is how long an entry is kept that no build uses.
	unusedAfter = 30 * 24 * time.Hour
)

// cache keeps dependency trees by key, each in a folder of its own that appears complete by rename.
type cache struct{ dir string }

// entry is one dependency tree in the cache.
type entry struct {
	dir  string
	meta entryMeta
}

// entryMeta is what a bundle needs to know of the dependencies without reading them again.
type entryMeta struct {
	Format        int      `json:"format"`       // cacheFormat
	PrefixBytes   int64    `json:"prefixBytes"`  // of deps.zip: the members, without the central directory
	CentralBytes  int64    `json:"centralBytes"` // of deps.zip: the central directory's records
	Members       int      `json:"members"`
	UnzippedBytes int64    `json:"unzippedBytes"`
	HashState     []byte   `json:"hashState"` // SHA-256 after the prefix (encoding.BinaryMarshaler)
	Digest        string   `json:"digest"`    // SHA-256 of deps.zip and the sums after it
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

func (e *entry) metaFile() string { return filepath.Join(e.dir, "meta.json") }

// load returns the entry of key; os.ErrNotExist where there is none, another error where it is damaged. The time of its
// meta.json is when it was last used.
func (c cache) load(key string) (*entry, error) {
	e, err := readEntry(filepath.Join(c.dir, key))
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(e.zip())
	if err != nil {
		return nil, fmt.Errorf("reading cache entry: %v", err)
	}
	if want := e.meta.PrefixBytes + e.meta.CentralBytes + endBytes; info.Size() != want {
		return nil, fmt.Errorf("cache entry %q is damaged: deps.zip has %d bytes, want %d", e.dir, info.Size(), want)
	}
	now := time.Now()
	os.Chtimes(e.metaFile(), now, now) //nolint:errcheck // a cache that cannot be written can be read all the same
	return e, nil
}

func readEntry(dir string) (*entry, error) {
	e := &entry{dir: dir}
	data, err := os.ReadFile(e.metaFile())
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &e.meta); err != nil {
		return nil, fmt.Errorf("reading cache entry %q: %w", dir, err)
	}
	return e, nil
}

// usedEntry is the folder of an entry, and when it was last used.
type usedEntry struct {
	dir string
	at  time.Time
}

// used lists the entries, the last used first.
func (c cache) used() []usedEntry {
	folders, err := os.ReadDir(c.dir)
	if err != nil {
		return nil // as good as empty
	}
	var all []usedEntry
	for _, f := range folders {
		dir := filepath.Join(c.dir, f.Name())
		info, err := os.Stat((&entry{dir: dir}).metaFile())
		if err == nil && len(f.Name()) == hex.EncodedLen(sha256.Size) {
			all = append(all, usedEntry{dir, info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b usedEntry) int { return cmp.Or(b.at.Compare(a.at), cmp.Compare(a.dir, b.dir)) })
	return all
}

// evict moves the entries that were not used for long into the folder work, which is removed later: what is half removed
// is no entry any more.
func (c cache) evict(work string) {
	for _, u := range c.used() {
		if time.Since(u.at) > unusedAfter {
			os.Rename(u.dir, filepath.Join(work, "evicted-"+filepath.Base(u.dir))) //nolint:errcheck // tried again next time
		}
	}
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
	c.evict(work)
	from := c.earlier()
	defer closeAll(from)
	made, err := fill(work)
	if err != nil {
		return nil, err
	}
	e := &entry{dir: filepath.Join(work, "entry"), meta: entryMeta{Format: cacheFormat, Notes: made.notes, Image: made.image, BuildID: made.buildID}}
	if err := os.Mkdir(e.dir, 0o755); err != nil {
		return nil, err
	}
	if err := e.fill(ctx, made, from, opts); err != nil {
		return nil, err
	}
	closeAll(from) // where it can be the one to replace
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

// filling lets one tree at a time be read and deflated: it takes all cores, and memory.
var filling = semaphore.NewWeighted(1)

// fill writes the entry's files from a tree, which is used up, and from what earlier entries have of it.
func (e *entry) fill(ctx context.Context, made tree, from []*earlier, opts Options) error {
	if err := filling.Acquire(ctx, 1); err != nil {
		return err
	}
	defer filling.Release(1)
	members, err := normalize(ctx, made.dir, made.builtHere)
	if err != nil {
		return err
	}
	for i := range members {
		e.meta.UnzippedBytes += members[i].size
	}
	opts.progress("scanning and compressing %d files, %d MB", len(members), e.meta.UnzippedBytes>>20)
	reuse(members, from, opts)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		facts, err := verify.Scan(ctx, verifyFiles(members))
		if err != nil {
			return fmt.Errorf("scanning dependencies: %w", err)
		}
		return errors.Join(writeJSON(e.facts(), facts), removeReused(members))
	})
	group.Go(func() error { return e.deflate(ctx, members) })
	if err := group.Wait(); err != nil {
		return err
	}
	return writeJSON(e.metaFile(), e.meta)
}

// deflate writes deps.zip and the sums of its members, and keeps the state of its SHA-256 where the central directory
// begins.
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
	if err := buffered.Flush(); err != nil {
		return err
	}
	if err := e.writeSums(members, sum); err != nil {
		return err
	}
	e.meta.Digest = hex.EncodeToString(sum.Sum(nil))
	return nil
}

// copyFront copies the dependencies to the start of f, by the kernel where it can. Nothing else may use f's own offset.
func (e *entry) copyFront(f *os.File) error {
	deps, err := os.Open(e.zip())
	if err != nil {
		return err
	}
	defer deps.Close() //nolint:errcheck // opened for reading
	if _, err := io.CopyN(f, deps, e.meta.PrefixBytes); err != nil {
		return fmt.Errorf("copying dependencies: %w", err)
	}
	return nil
}

// resume returns a writer into f and a running SHA-256 that stand behind the dependencies, whether they are there yet or
// not.
func (e *entry) resume(f *os.File) (*zipWriter, hash.Hash, error) {
	deps, err := os.Open(e.zip())
	if err != nil {
		return nil, nil, err
	}
	defer deps.Close() //nolint:errcheck // opened for reading
	sum := sha256.New()
	if err := sum.(encoding.BinaryUnmarshaler).UnmarshalBinary(e.meta.HashState); err != nil {
		return nil, nil, fmt.Errorf("resuming SHA-256: %w", err)
	}
	z := &zipWriter{w: io.MultiWriter(io.NewOffsetWriter(f, e.meta.PrefixBytes), sum), offset: e.meta.PrefixBytes, count: e.meta.Members}
	if _, err := io.Copy(&z.central, io.NewSectionReader(deps, e.meta.PrefixBytes, e.meta.CentralBytes)); err != nil {
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
