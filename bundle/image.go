package bundle

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/daemon"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"sample-python-arm64-lambda/bundle/target"
)

// RegistryAuth are credentials of a container registry that are not in the Docker config.
type RegistryAuth struct{ Server, Username, Password string }

// imageID is a local image's ID, which is no reference of any registry.
type imageID string

func (i imageID) String() string           { return string(i) }
func (i imageID) Name() string             { return string(i) }
func (i imageID) Identifier() string       { return string(i) }
func (i imageID) Context() name.Repository { return name.Repository{} }
func (i imageID) Scope(string) string      { return "" }

// openImage finds an image: an ID ("sha256:…") in the local daemon, a digest in its registry or else in the daemon, a
// tag in the daemon or else in its registry.
func openImage(ctx context.Context, ref string, t target.Target, auth *RegistryAuth) (v1.Image, error) {
	if strings.HasPrefix(ref, "sha256:") {
		img, err := localImage(ctx, imageID(ref))
		return img, missingImage(ref, err)
	}
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return nil, &Error{What: fmt.Sprintf("image %q is not a reference", ref), Cure: "write REPOSITORY:TAG, REPOSITORY@sha256:DIGEST or a local sha256:ID", Err: err}
	}
	local := func() (v1.Image, error) { return localImage(ctx, parsed) }
	pulled := func() (v1.Image, error) { return remoteImage(ctx, parsed, t, auth) }
	first, second := local, pulled
	if _, isDigest := parsed.(name.Digest); isDigest {
		first, second = pulled, local
	}
	img, err := first()
	if err != nil {
		var secondErr error
		if img, secondErr = second(); secondErr != nil {
			return nil, missingImage(ref, errors.Join(err, secondErr))
		}
	}
	return img, nil
}

func missingImage(ref string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{
		What: fmt.Sprintf("image %q is neither in the local Docker daemon nor can it be pulled", ref),
		Cure: "build it or correct the reference; for a registry that asks for credentials, docker login first; for a remote daemon set DOCKER_HOST",
		Err:  err,
	}
}

func localImage(ctx context.Context, ref name.Reference) (v1.Image, error) {
	return daemon.Image(ref, daemon.WithContext(ctx), daemon.WithFileBufferedOpener())
}

func remoteImage(ctx context.Context, ref name.Reference, t target.Target, auth *RegistryAuth) (v1.Image, error) {
	platform, err := v1.ParsePlatform(t.DockerPlatform())
	if err != nil {
		return nil, err
	}
	return remote.Image(ref, remote.WithContext(ctx), remote.WithPlatform(*platform), remote.WithAuthFromKeychain(keychain(auth)))
}

// extractImage writes the files of an image, which are a dependency tree, into dir.
func extractImage(ctx context.Context, ref string, t target.Target, dir string, opts Options) error {
	img, err := openImage(ctx, ref, t, opts.Registry)
	if err != nil {
		return err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return missingImage(ref, err)
	}
	if platform := config.OS + "/" + config.Architecture; platform != t.DockerPlatform() {
		return &Error{What: fmt.Sprintf("image %q is for %s, want %s for %s", ref, platform, t.DockerPlatform(), t), Cure: "build it with --platform " + t.DockerPlatform()}
	}
	content := mutate.Extract(img)
	defer content.Close() //nolint:errcheck // opened for reading
	if err := untar(tar.NewReader(content), dir); err != nil {
		return fmt.Errorf("reading image %q: %w", ref, errors.Join(err, ctx.Err()))
	}
	return nil
}

// untar writes the files of a tar stream below dir. pip writes files and folders only, so all else is refused.
func untar(r *tar.Reader, dir string) error {
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		file := filepath.FromSlash(strings.TrimPrefix(h.Name, "/"))
		if !filepath.IsLocal(file) {
			return fmt.Errorf("%q lies outside the image", h.Name)
		}
		file = filepath.Join(dir, file)
		switch h.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(file, 0o755)
		case tar.TypeReg:
			err = writeFrom(r, file)
		default:
			err = fmt.Errorf("%q is a link or a device; a dependency tree has files only (was the image built by the docker build step?)", h.Name)
		}
		if err != nil {
			return err
		}
	}
}

func writeFrom(r io.Reader, file string) (err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.Copy(f, r)
	return err
}
