package bundle

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"sample-python-arm64-lambda/bundle/target"
	"sample-python-arm64-lambda/bundle/verify"
)

// Builder is a way to make the dependency tree.
type Builder string

// The builders. Nothing after them knows which one was used.
const (
	// Auto uses Wheels, and Docker only where a requirement has no usable wheel.
	Auto Builder = "auto"
	// Wheels installs wheels for the target with uv, without Docker.
	Wheels Builder = "wheels"
	// Docker runs pip in the target's AWS SAM build image.
	Docker Builder = "docker"
)

// Spec is all that decides the bytes of a bundle. What does not is in Options.
type Spec struct {
	// Target is the runtime and architecture; the zero value is target.Default.
	Target target.Target
	// Requirements is the requirements file, Source the folder whose content is laid over the dependencies.
	Requirements, Source string
	// Handler is Lambda's handler, for instance "main.handler".
	Handler string
	// Builder makes the dependency tree.
	Builder Builder
	// Image takes the dependency tree from an image that was built before, instead of a builder: a local ID
	// ("sha256:…"), REPOSITORY@sha256:… or REPOSITORY:TAG.
	Image string
	// BaseImage is what the docker builder runs pip in; the target's AWS SAM build image where it is empty.
	BaseImage string
	// Exclude lists glob patterns (path.Match) of source files to leave out: one with a slash is matched against the
	// path from Source, one without against every element of it.
	Exclude []string
	// Layer leaves the dependencies out of the zip, because they go into a layer (Dependencies.Layer). They are verified
	// together all the same.
	Layer bool
}

// Options is what does not change the bytes of a bundle.
type Options struct {
	// CacheDir keeps dependency trees between builds; DefaultCacheDir where it is empty.
	CacheDir string
	// UV is the uv executable, a path or a name on PATH; "uv" where it is empty.
	UV string
	// Refresh builds the dependencies anew, so that an unpinned requirement is asked for again.
	Refresh bool
	// Registry are credentials for Image's registry; the Docker config's where it is nil.
	Registry *RegistryAuth
	// Ignore waives findings of the verification; they stand in the manifest all the same.
	Ignore []verify.Waiver
	// Progress is told what is being done, a short line at a time; nil for silence.
	Progress func(string)
}

func (o Options) progress(format string, args ...any) {
	if o.Progress != nil {
		o.Progress(fmt.Sprintf(format, args...))
	}
}

func (o Options) cache() cache {
	if o.CacheDir == "" {
		return cache{dir: DefaultCacheDir()}
	}
	return cache{dir: o.CacheDir}
}

// DefaultCacheDir is BUNDLE_CACHE_DIR, else a folder in the user's cache folder.
func DefaultCacheDir() string {
	if dir := os.Getenv("BUNDLE_CACHE_DIR"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "python-lambda-bundle")
}

// ManifestSchema is the version of Manifest's JSON form.
const ManifestSchema = 1

// Manifest describes a bundle that was written.
type Manifest struct {
	Schema int    `json:"schema"`
	Path   string `json:"path"`
	// SHA256 is the digest of the zip, in hexadecimal. Lambda's CodeSha256 is the same digest in base64.
	SHA256        string           `json:"sha256"`
	ZippedBytes   int64            `json:"zippedBytes"`
	UnzippedBytes int64            `json:"unzippedBytes"`
	Files         int              `json:"files"`
	Runtime       string           `json:"runtime"`
	Architecture  string           `json:"architecture"`
	Handler       string           `json:"handler"`
	Builder       Builder          `json:"builder"`
	Packages      []verify.Package `json:"packages"`
	// Remarks are findings that do not keep the bundle from loading.
	Remarks []verify.Finding `json:"remarks"`
	// Waived are errors that Options.Ignore lets pass.
	Waived []verify.Finding `json:"waived"`
	// Notes say what of the bundle depends on more than its inputs.
	Notes []string `json:"notes"`
	// Layer is the layer with the dependencies, where they are not in the zip.
	Layer *Artifact `json:"layer,omitempty"`
	// Cached says that the dependencies came from the cache.
	Cached  bool    `json:"cached"`
	Seconds float64 `json:"seconds"`
}

// Build bundles spec into the zip file out. The file appears complete and verified, or not at all. The error is one
// of *Error, *NoWheelError and *verify.Error where a person can mend it.
func Build(ctx context.Context, spec Spec, out string, opts Options) (*Manifest, error) {
	start := time.Now()
	deps, err := Resolve(ctx, spec, opts)
	if err != nil {
		return nil, err
	}
	m, err := deps.Bundle(ctx, spec, out, opts)
	if err != nil {
		return nil, err
	}
	m.Seconds = time.Since(start).Seconds()
	return m, nil
}
