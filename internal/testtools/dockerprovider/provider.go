// Package dockerprovider is a stand-in for the Pulumi provider of package docker, for tests on machines where the real
// plugin cannot be had. It knows the resource docker:index/image:Image only, builds it with the Docker daemon and does
// what provider 4.11.2 was seen to do, also where that is not what one would wish for: an image that is gone
// is not noticed, and a daemon has to answer even where nothing changes.
package dockerprovider

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"

	"github.com/blang/semver"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"

	"sample-python-arm64-lambda/internal/local/provider"
	"sample-python-arm64-lambda/internal/testtools"
)

const (
	version   = "4.11.2"
	imageType = "docker:index/image:Image"
)

// Server is a served stand-in, which counts what it does.
type Server struct {
	*provider.Server
	builds, pushes, calls atomic.Int64
}

// Builds returns how many builds were begun, those that the layer cache answered included.
func (s *Server) Builds() int { return int(s.builds.Load()) }

// Pushes returns how many pushes were begun.
func (s *Server) Pushes() int { return int(s.pushes.Load()) }

// Calls returns how often the daemon was asked for anything, but for the question whether it is there, which every
// start of a provider asks.
func (s *Server) Calls() int { return int(s.calls.Load()) }

// Serve serves the stand-in until ctx is done or the server is closed. Relative paths start from dir, the engine's
// working folder. The environment, DOCKER_HOST and the Docker config are those of this process.
func Serve(ctx context.Context, dir string) (*Server, error) {
	s := &Server{}
	var err error
	s.Server, err = provider.Serve(ctx, func() plugin.Provider { return &dockerProvider{server: s, dir: dir} })
	return s, err
}

// dockerProvider is one configured provider.
type dockerProvider struct {
	plugin.UnimplementedProvider
	server  *Server
	dir     string
	cli     string
	network string // of builds that say none: empty is the daemon's default
}

// Handshake takes no secrets, as the real one; the engine opens them and closes what is equal to them again.
func (p *dockerProvider) Handshake(context.Context, plugin.ProviderHandshakeRequest) (*plugin.ProviderHandshakeResponse, error) {
	return &plugin.ProviderHandshakeResponse{}, nil
}

func (p *dockerProvider) Attach(string) error { return nil }

func (p *dockerProvider) Close() error { return nil }

func (p *dockerProvider) SignalCancellation(context.Context) error { return nil }

func (p *dockerProvider) GetPluginInfo(context.Context) (plugin.PluginInfo, error) {
	v := semver.MustParse(version)
	return plugin.PluginInfo{Version: &v}, nil
}

func (p *dockerProvider) CheckConfig(_ context.Context, r plugin.CheckConfigRequest) (plugin.CheckConfigResponse, error) {
	return plugin.CheckConfigResponse{Properties: r.News}, nil
}

func (p *dockerProvider) DiffConfig(context.Context, plugin.DiffConfigRequest) (plugin.DiffConfigResponse, error) {
	return plugin.DiffResult{Changes: plugin.DiffNone}, nil
}

// Configure needs a daemon that answers.
func (p *dockerProvider) Configure(ctx context.Context, _ plugin.ConfigureRequest) (plugin.ConfigureResponse, error) {
	var err error
	if p.cli, err = testtools.FindDocker(ctx); err != nil {
		return plugin.ConfigureResponse{}, err
	}
	if _, err := testtools.Run(ctx, p.cli, "version", "--format", "{{.Server.Version}}"); err != nil {
		return plugin.ConfigureResponse{}, fmt.Errorf("connecting to the Docker daemon: %w", err)
	}
	// A daemon without networks of its own (tools/docker/daemon.sh says when) builds in the host's only.
	if _, err := testtools.Run(ctx, p.cli, "network", "inspect", "bridge"); err != nil {
		p.network = "host"
	}
	return plugin.ConfigureResponse{}, nil
}

func known(t tokens.Type) error {
	if t != imageType {
		return fmt.Errorf("the stand-in docker provider knows %s only, not %s (install the real plugin, docker %s)", imageType, t, version)
	}
	return nil
}

// Check writes the defaults into the inputs, and the digest of the context, by which a change of it is seen.
func (p *dockerProvider) Check(_ context.Context, r plugin.CheckRequest) (plugin.CheckResponse, error) {
	if err := known(r.Type); err != nil {
		return plugin.CheckResponse{}, err
	}
	inputs := r.News.Copy()
	if !inputs["buildOnPreview"].HasValue() {
		inputs["buildOnPreview"] = resource.NewProperty(false)
	}
	if inputs["build"].ContainsUnknowns() {
		return plugin.CheckResponse{Properties: inputs}, nil
	}
	build := copyObject(inputs, "build")
	for key, value := range map[resource.PropertyKey]string{"context": ".", "platform": "linux/" + runtime.GOARCH} {
		if !build[key].HasValue() {
			build[key] = resource.NewProperty(value)
		}
	}
	if !build["dockerfile"].HasValue() {
		build["dockerfile"] = resource.NewProperty(filepath.ToSlash(filepath.Join(build["context"].StringValue(), "Dockerfile")))
	}
	if _, err := os.Stat(p.path(build["dockerfile"].StringValue())); err != nil {
		return plugin.CheckResponse{}, fmt.Errorf("could not open dockerfile at relative path %q: %w", build["dockerfile"].StringValue(), err)
	}
	digest, err := contextDigest(p.path(build["context"].StringValue()), p.path(build["dockerfile"].StringValue()))
	build["contextDigest"] = resource.NewProperty(digest)
	return plugin.CheckResponse{Properties: inputs}, err
}

// path returns a path as the engine's working folder sees it.
func (p *dockerProvider) path(of string) string {
	if filepath.IsAbs(of) {
		return of
	}
	return filepath.Join(p.dir, of)
}

// Diff compares inputs, but for the registry's credentials, which are other ones every day.
func (p *dockerProvider) Diff(_ context.Context, r plugin.DiffRequest) (plugin.DiffResponse, error) {
	if err := known(r.Type); err != nil {
		return plugin.DiffResult{}, err
	}
	diff := withoutCredentials(r.OldInputs).Diff(withoutCredentials(r.NewInputs))
	if diff == nil {
		return plugin.DiffResult{Changes: plugin.DiffNone}, nil
	}
	return plugin.DiffResult{Changes: plugin.DiffSome, DetailedDiff: plugin.NewDetailedDiffFromObjectDiff(diff, true)}, nil
}

func withoutCredentials(inputs resource.PropertyMap) resource.PropertyMap {
	if !inputs["registry"].IsObject() {
		return inputs
	}
	inputs = inputs.Copy()
	registry := copyObject(inputs, "registry")
	delete(registry, "username")
	delete(registry, "password")
	return inputs
}

// copyObject replaces an object in properties by a copy, empty where there is none, and returns the copy.
func copyObject(properties resource.PropertyMap, key resource.PropertyKey) resource.PropertyMap {
	object := resource.PropertyMap{}
	if properties[key].IsObject() {
		object = properties[key].ObjectValue().Copy()
	}
	properties[key] = resource.NewProperty(object)
	return object
}

func (p *dockerProvider) Create(ctx context.Context, r plugin.CreateRequest) (plugin.CreateResponse, error) {
	if err := known(r.Type); err != nil {
		return plugin.CreateResponse{}, err
	}
	outputs, err := p.build(ctx, r.Properties, r.Preview)
	if err != nil || r.Preview {
		return plugin.CreateResponse{Properties: outputs}, err
	}
	return plugin.CreateResponse{ID: resource.ID(outputs["imageName"].StringValue()), Properties: outputs}, nil
}

func (p *dockerProvider) Update(ctx context.Context, r plugin.UpdateRequest) (plugin.UpdateResponse, error) {
	if err := known(r.Type); err != nil {
		return plugin.UpdateResponse{}, err
	}
	outputs, err := p.build(ctx, r.NewInputs, r.Preview)
	return plugin.UpdateResponse{Properties: outputs}, err
}

// Read looks at nothing: what the state says of an image is true for ever.
func (p *dockerProvider) Read(_ context.Context, r plugin.ReadRequest) (plugin.ReadResponse, error) {
	return plugin.ReadResponse{ReadResult: plugin.ReadResult{ID: r.ID, Inputs: r.Inputs, Outputs: r.State}}, known(r.Type)
}

// Delete leaves the image where it is.
func (p *dockerProvider) Delete(_ context.Context, r plugin.DeleteRequest) (plugin.DeleteResponse, error) {
	return plugin.DeleteResponse{}, known(r.Type)
}
