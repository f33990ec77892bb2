package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

const (
	// maxEarlier is how many entries are looked at for content that is deflated already, the last used first.
	maxEarlier = 8
	// worthwhile is how many bytes of an earlier deps.zip are read, to check it, for a byte of content that need not be
	// deflated: SHA-256 is about as many times faster than deflate.
	worthwhile = 8
)

// sums is a file beside deps.zip: the SHA-256 of each member's content, in the order of the members.
func (e *entry) sums() string { return filepath.Join(e.dir, "sums") }

// earlier is an entry that may have content of a new one.
type earlier struct {
	*entry
	sums []byte
	file *os.File // deps.zip
	// members checks deps.zip and lists what is in it, once.
	members func() ([]packed, error)
}

// earlier opens the entries last used. The first, which most likely has much of the new one, is checked while the
// builder waits for the network.
func (c cache) earlier() []*earlier {
	var all []*earlier
	used := c.used()
	for _, u := range used[:min(maxEarlier, len(used))] {
		e, err := readEntry(u.dir)
		if err != nil || e.meta.Format != cacheFormat {
			continue
		}
		old := &earlier{entry: e}
		if old.sums, err = os.ReadFile(e.sums()); err != nil || len(old.sums) != e.meta.Members*sha256.Size {
			continue
		}
		if old.file, err = os.Open(e.zip()); err != nil {
			continue
		}
		old.members = sync.OnceValues(old.check)
		all = append(all, old)
	}
	if len(all) > 0 {
		go all[0].members() //nolint:errcheck // told where it is used
	}
	return all
}

// check lists the members of deps.zip, where it and the sums are what was written.
func (e *earlier) check() ([]packed, error) {
	digest := sha256.New()
	size, err := io.Copy(digest, e.file)
	if err != nil {
		return nil, err
	}
	digest.Write(e.sums) //nolint:errcheck // a hash never fails
	if got := hex.EncodeToString(digest.Sum(nil)); got != e.meta.Digest {
		return nil, fmt.Errorf("it is damaged: got digest %s, want %s", got, e.meta.Digest)
	}
	all, err := members(e.file, size)
	if err == nil && len(all) != e.meta.Members {
		err = fmt.Errorf("it is damaged: got %d members, want %d", len(all), e.meta.Members)
	}
	return all, err
}

func closeAll(from []*earlier) {
	for _, e := range from {
		e.file.Close() //nolint:errcheck // opened for reading
	}
}

// reuse finds the members whose content an earlier entry has deflated. They need only be copied: a deflate stream
// depends on the content alone, and the content is known by its SHA-256.
func reuse(members []member, from []*earlier, opts Options) {
	missing := map[[sha256.Size]byte]int64{} // content that is not found yet, and its bytes
	for i := range members {
		missing[members[i].sum] = members[i].size
	}
	found := map[[sha256.Size]byte]*packed{}
	for _, e := range from {
		var gain int64
		for sum := range slices.Chunk(e.sums, sha256.Size) {
			gain += missing[[sha256.Size]byte(sum)]
		}
		if gain == 0 || gain*worthwhile < e.meta.PrefixBytes {
			continue
		}
		all, err := e.members()
		if err != nil {
			opts.progress("deflating anew what is in cache entry %q: %v", e.dir, err)
			continue
		}
		for i := range all {
			sum := [sha256.Size]byte(e.sums[i*sha256.Size:])
			if size, ok := missing[sum]; ok && size == all[i].size {
				found[sum] = &all[i]
				delete(missing, sum)
			}
		}
	}
	copied := 0
	for i := range members {
		if p := found[members[i].sum]; p != nil && p.crc == members[i].crc {
			members[i].deflated = p
			copied++
		}
	}
	if copied > 0 {
		opts.progress("%d of %d files are deflated already", copied, len(members))
	}
}

// removeReused removes the files that are copied from an earlier entry: many of them take as long as to deflate a small
// wheel, which is done meanwhile.
func removeReused(members []member) error {
	for i := range members {
		if m := &members[i]; m.deflated != nil && m.path != "" {
			if err := os.Remove(m.path); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeSums keeps the digests of the members' content, and that of deps.zip and of the digests with it.
func (e *entry) writeSums(members []member, digest io.Writer) error {
	sums := make([]byte, 0, len(members)*sha256.Size)
	for i := range members {
		sums = append(sums, members[i].sum[:]...)
	}
	digest.Write(sums) //nolint:errcheck // a hash never fails
	return os.WriteFile(e.sums(), sums, 0o644)
}
