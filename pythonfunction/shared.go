package pythonfunction

import (
	"context"
	"path/filepath"
	"regexp"
	"sync"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/lambda"
	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"sample-python-arm64-lambda/bundle"
)

// Shared is what functions of one stack have in common where their dependencies are equal: the image that the docker
// builder makes and, where they want one, the layer. Functions share it by having the same pointer in their Args. The zero
// value is ready for use.
type Shared struct {
	// Layer ships the dependencies as a Lambda layer, so that a change in the sources uploads the sources alone.
	Layer bool
	// Opts are the options of the shared resources, which are no function's children; for instance their provider.
	Opts []pulumi.ResourceOption

	mu     sync.Mutex
	files  map[string]func() (*bundle.Artifact, error)
	images map[string]*sharedImage
	layers map[string]*lambda.LayerVersion
}

// sharedImage is an image with the context it is built from.
type sharedImage struct {
	image   *docker.Image
	context *bundle.Context
}

// layerFile writes the layer of dependencies into dir, once for all functions.
func (s *Shared) layerFile(ctx context.Context, deps *bundle.Dependencies, dir string) (*bundle.Artifact, error) {
	if s == nil || !s.Layer || deps.Empty() {
		return nil, nil
	}
	file := filepath.Join(dir, deps.Tag()+".zip")
	s.mu.Lock()
	if s.files == nil {
		s.files = map[string]func() (*bundle.Artifact, error){}
	}
	write, ok := s.files[file]
	if !ok {
		write = sync.OnceValues(func() (*bundle.Artifact, error) { return deps.Layer(ctx, file) })
		s.files[file] = write
	}
	s.mu.Unlock()
	return write()
}

// image registers the image of a context, or returns the one that an equal context has, and that context with it: the
// first function that comes registers, and the program's order is the same on every machine.
func (s *Shared) image(ctx *pulumi.Context, c *code) (*docker.Image, *bundle.Context, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if made, ok := s.images[c.context.Tag]; ok {
		return made.image, made.context, nil
	}
	image, err := newImage(ctx, c.context.Tag, c, s.Opts...)
	if err != nil {
		return nil, nil, err
	}
	if s.images == nil {
		s.images = map[string]*sharedImage{}
	}
	s.images[c.context.Tag] = &sharedImage{image, c.context}
	return image, c.context, nil
}

// layerName matches what a layer's name may not have
// (https://docs.aws.amazon.com/lambda/latest/api/API_PublishLayerVersion.html).
var layerName = regexp.MustCompile(`[^a-zA-Z0-9-_]+`)

// layer registers the layer of a function's dependencies, or returns the one that equal dependencies have; nil where it
// has no dependencies.
func (s *Shared) layer(ctx *pulumi.Context, args *Args, c *code, manifest pulumi.Output) (*lambda.LayerVersion, error) {
	if c.tag == "" {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if made, ok := s.layers[c.tag]; ok {
		return made, nil
	}
	stack := layerName.ReplaceAllString(ctx.Project()+"-"+ctx.Stack(), "-")
	code, err := send(ctx, c.tag, stack+"-layers", args, manifest, func(m *bundle.Manifest) *bundle.Artifact { return m.Layer }, s.Opts...)
	if err != nil {
		return nil, err
	}
	t := args.target()
	layer, err := lambda.NewLayerVersion(ctx, c.tag, &lambda.LayerVersionArgs{
		LayerName:               pulumi.String(stack + "-dependencies"),
		Description:             pulumi.String("Dependencies of functions of stack " + ctx.Stack()),
		CompatibleArchitectures: pulumi.StringArray{pulumi.String(t.Arch)},
		CompatibleRuntimes:      pulumi.StringArray{pulumi.String(t.Runtime.Name)},
		Code:                    code.archive, S3Bucket: code.bucket, S3Key: code.key, SourceCodeHash: code.hash,
	}, s.Opts...)
	if s.layers == nil {
		s.layers = map[string]*lambda.LayerVersion{}
	}
	s.layers[c.tag] = layer
	return layer, err
}
