package bundle

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"sample-python-arm64-lambda/bundle/verify"
)

// layerFolder is where the runtime looks for modules in a layer
// (https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html).
const layerFolder = "python/"

// Artifact is a file to upload.
type Artifact struct {
	Path        string `json:"path"`
	SHA256      string `json:"sha256"` // in hexadecimal
	ZippedBytes int64  `json:"zippedBytes"`
}

// Tag names the dependencies by all that decides their bytes.
func (d *Dependencies) Tag() string { return tagOf(filepath.Base(d.entry.dir)) }

func tagOf(key string) string { return "deps-" + key[:16] }

// Empty says that there are none.
func (d *Dependencies) Empty() bool { return d.entry.meta.Members == 0 }

// Layer writes the dependencies as the zip of a Lambda layer to out, as they are deflated already. What they load is
// verified by Bundle, together with the sources.
func (d *Dependencies) Layer(ctx context.Context, out string) (*Artifact, error) {
	layer := &Artifact{Path: out}
	return layer, writeByRename(out, func(f *os.File) error {
		deps, err := os.Open(d.entry.zip())
		if err != nil {
			return err
		}
		defer deps.Close() //nolint:errcheck // opened for reading
		all, err := members(deps, d.entry.meta.PrefixBytes+d.entry.meta.CentralBytes+endBytes)
		if err != nil {
			return fmt.Errorf("reading cache entry %q: %w", d.entry.dir, err)
		}
		buffered, sum := bufio.NewWriterSize(f, 1<<20), sha256.New()
		z := &zipWriter{w: io.MultiWriter(buffered, sum)}
		for _, m := range all {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := z.copy(layerFolder+m.name, m.mode, m.crc, m.size, m.raw.Size(), m.stream()); err != nil {
				return fmt.Errorf("copying %q: %w", m.name, err)
			}
		}
		if err := z.finish(); err != nil {
			return err
		}
		layer.SHA256, layer.ZippedBytes = hex.EncodeToString(sum.Sum(nil)), z.offset
		return buffered.Flush()
	})
}

// hidden refuses sources that hide a package of the layer: the runtime looks into the function before the layers, and
// does not look further where it finds a folder or module of the name.
func hidden(sources []member, deps *verify.Facts) error {
	top := func(name string) string {
		first, _, _ := strings.Cut(name, "/")
		return strings.TrimSuffix(first, path.Ext(first))
	}
	owners := map[string]string{}
	for _, name := range deps.Names() {
		if t := top(name); t != "" && owners[t] == "" {
			owners[t] = deps.Owner(name)
		}
	}
	told := map[string]bool{}
	var errs []error
	for _, s := range sources {
		if t := top(s.name); owners[t] != "" && !told[t] {
			told[t] = true
			errs = append(errs, &Error{
				What: fmt.Sprintf("the source %q hides %q of %s, which is in the layer", s.name, t, owners[t]),
				Cure: "rename it, or leave layer off",
			})
		}
	}
	return errors.Join(errs...)
}
