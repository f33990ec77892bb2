package dockerprovider

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"sample-python-arm64-lambda/internal/testtools"
)

// image is the inputs of an image, as Check completes them.
type image struct {
	ImageName                string
	SkipPush, BuildOnPreview bool
	Registry                 struct{ Server, Username, Password string }
	Build                    struct {
		Context, Dockerfile, Platform, Network, Target, BuilderVersion, ContextDigest string
		Args                                                                          map[string]string
	}
}

func readImage(inputs resource.PropertyMap) (*image, error) {
	data, err := json.Marshal(inputs.Mappable())
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.DisallowUnknownFields()
	i := &image{}
	if err := decoder.Decode(i); err != nil {
		return nil, fmt.Errorf("reading the inputs of an image, of which the stand-in does not know all: %w", err)
	}
	if v := i.Build.BuilderVersion; v != "" && v != "BuilderBuildKit" {
		return nil, fmt.Errorf("builderVersion %q: the stand-in knows BuilderBuildKit only", v)
	}
	host, _, found := strings.Cut(i.ImageName, "/")
	if qualified := found && (strings.ContainsAny(host, ".:") || host == "localhost"); !qualified && !i.SkipPush {
		return nil, fmt.Errorf("imageName %q: an image to push needs its registry's host in its name", i.ImageName)
	}
	return i, nil
}

// build builds an image and, but for a preview, pushes it, and returns the outputs. In a preview that must not build, or
// does not know yet what, there are the inputs only.
func (p *dockerProvider) build(ctx context.Context, inputs resource.PropertyMap, preview bool) (resource.PropertyMap, error) {
	if preview && (inputs.ContainsUnknowns() || !inputs["buildOnPreview"].BoolValue()) {
		return inputs, nil
	}
	i, err := readImage(inputs)
	if err != nil {
		return nil, err
	}
	p.server.builds.Add(1)
	if _, err := p.run(ctx, p.buildArgs(i)...); err != nil {
		return nil, fmt.Errorf("building image %q: %w", i.ImageName, err)
	}
	digest, err := p.run(ctx, "image", "inspect", "--format", "{{.Id}}", i.ImageName)
	if err == nil && !preview && !i.SkipPush {
		digest, err = p.push(ctx, i)
	}
	if err != nil {
		return nil, err
	}
	dockerfile, err := filepath.Rel(p.path(i.Build.Context), p.path(i.Build.Dockerfile))
	return resource.NewPropertyMapFromMap(map[string]any{
		"baseImageName": i.ImageName, "imageName": i.ImageName, "context": i.Build.Context, "dockerfile": filepath.ToSlash(dockerfile),
		"platform": i.Build.Platform, "registryServer": i.Registry.Server, "repoDigest": digest,
	}), err
}

func (p *dockerProvider) run(ctx context.Context, args ...string) (string, error) {
	p.server.calls.Add(1)
	return testtools.Run(ctx, p.cli, args...)
}

func (p *dockerProvider) buildArgs(i *image) []string {
	args := []string{"build", "--platform", i.Build.Platform, "--tag", i.ImageName, "--file", p.path(i.Build.Dockerfile)}
	for _, key := range slices.Sorted(maps.Keys(i.Build.Args)) {
		args = append(args, "--build-arg", key+"="+i.Build.Args[key])
	}
	network := i.Build.Network
	if network == "" {
		network = p.network
	}
	if network != "" {
		args = append(args, "--network", network)
	}
	if i.Build.Target != "" {
		args = append(args, "--target", i.Build.Target)
	}
	return append(args, p.path(i.Build.Context))
}

// push pushes an image, with the credentials of the inputs or else of the Docker config, and returns REPOSITORY@DIGEST.
func (p *dockerProvider) push(ctx context.Context, i *image) (string, error) {
	args := []string{"push", "--quiet", i.ImageName}
	if i.Registry.Username != "" && i.Registry.Password != "" {
		config, err := i.login()
		if err != nil {
			return "", err
		}
		defer os.RemoveAll(config) //nolint:errcheck // in the system's folder for such files
		args = append([]string{"--config", config}, args...)
	}
	p.server.pushes.Add(1)
	if _, err := p.run(ctx, args...); err != nil {
		return "", fmt.Errorf("pushing image %q: %w", i.ImageName, err)
	}
	printed, err := p.run(ctx, "image", "inspect", "--format", "{{join .RepoDigests \" \"}}", i.ImageName)
	repository := i.ImageName
	if colon := strings.LastIndex(repository, ":"); colon > strings.LastIndex(repository, "/") {
		repository = repository[:colon]
	}
	for _, digest := range strings.Fields(printed) {
		if strings.HasPrefix(digest, repository+"@") {
			return digest, nil
		}
	}
	return "", errors.Join(err, fmt.Errorf("image %q was pushed, but has no digest in %q", i.ImageName, printed))
}

// login makes a Docker config with the credentials of the inputs and returns its folder.
func (i *image) login() (string, error) {
	server := i.Registry.Server
	if server == "" {
		server, _, _ = strings.Cut(i.ImageName, "/")
	}
	auth := base64.StdEncoding.EncodeToString([]byte(i.Registry.Username + ":" + i.Registry.Password))
	data, err := json.Marshal(map[string]any{"auths": map[string]any{server: map[string]string{"auth": auth}}})
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "docker-config-")
	if err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "config.json"), data, 0o600)
}

// contextDigest is over what a build can see of its context: names, modes and contents. A .dockerignore is not heeded.
func contextDigest(context, dockerfile string) (string, error) {
	sum := sha256.New()
	add := func(name string, mode fs.FileMode, path string) error {
		data, err := os.ReadFile(path)
		fmt.Fprintf(sum, "%q %s %d\n", name, mode, len(data)) //nolint:errcheck // a hash takes everything
		sum.Write(data)                                       //nolint:errcheck // likewise
		return err
	}
	err := add("Dockerfile", 0, dockerfile)
	walkErr := fs.WalkDir(os.DirFS(context), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return add(name, info.Mode(), filepath.Join(context, filepath.FromSlash(name)))
	})
	return hex.EncodeToString(sum.Sum(nil)), errors.Join(err, walkErr)
}
