package pythonfunction

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ecr"
	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"sample-python-arm64-lambda/bundle"
)

// Registry is where the image of the dependencies is kept, so that any machine finds it by its digest.
type Registry struct {
	// Repository is the image's name without a tag, for instance "registry.example/team/function".
	Repository string
	// Username and Password are the registry's credentials. Where they are empty, Amazon ECR is asked for a token with
	// the AWS provider's own, and any other registry gets those of the Docker config.
	Username, Password string
	// Opts are the options of asking Amazon ECR, its provider for instance; the stack's default provider where there are none.
	Opts []pulumi.InvokeOption
}

// ecrHost matches the host of a private Amazon ECR registry
// (https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html).
var ecrHost = regexp.MustCompile(`^(\d{12})\.dkr[.-]ecr[a-z-]*\.[a-z0-9-]+\.(amazonaws\.com(\.cn)?|on\.aws)$`)

// server returns the registry's host, as Docker does: the first element where it looks like one, else Docker Hub.
func (r *Registry) server() string {
	host, _, found := strings.Cut(r.Repository, "/")
	if found && (strings.ContainsAny(host, ".:") || host == "localhost") {
		return host
	}
	return "docker.io"
}

// login returns the registry with credentials, asking ECR for a token where it has to.
func (r *Registry) login(ctx *pulumi.Context) (*bundle.RegistryAuth, error) {
	auth := &bundle.RegistryAuth{Server: r.server(), Username: r.Username, Password: r.Password}
	m := ecrHost.FindStringSubmatch(auth.Server)
	if m == nil || r.Password != "" {
		return auth, nil
	}
	token, err := ecr.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenArgs{RegistryId: &m[1]}, r.Opts...)
	if err != nil {
		return nil, fmt.Errorf("asking Amazon ECR %s for a token: %w", auth.Server, err)
	}
	auth.Username, auth.Password = token.UserName, token.Password
	return auth, nil
}

// newImage registers the image whose content is the dependency tree.
func newImage(ctx *pulumi.Context, name string, c *code, opts ...pulumi.ResourceOption) (*docker.Image, error) {
	dir, err := enginePath(ctx, c.context.Dir)
	if err != nil {
		return nil, err
	}
	args := &docker.ImageArgs{
		ImageName: pulumi.String(c.args.FunctionName + ":" + c.context.Tag),
		SkipPush:  pulumi.Bool(true),
		// Else the digest, and with it the function's code, is unknown in a preview.
		BuildOnPreview: pulumi.Bool(true),
		Build: &docker.DockerBuildArgs{
			// Relative, so that it is the same in every checkout; the Dockerfile lies inside, else the provider sends it
			// into the context under a random name, and nothing is ever found in the layer cache.
			Context:    pulumi.String(dir),
			Dockerfile: pulumi.String(dir + "/Dockerfile"),
			Platform:   pulumi.String(c.context.Platform),
			Args:       pulumi.ToStringMap(c.context.Args),
			// The Dockerfile's cache mount needs it.
			BuilderVersion: docker.BuilderVersionBuilderBuildKit,
		},
	}
	if r := c.args.Registry; r != nil {
		auth := c.opts.Registry
		args.ImageName, args.SkipPush = pulumi.String(r.Repository+":"+c.context.Tag), pulumi.Bool(false)
		registry := docker.RegistryArgs{Server: pulumi.String(auth.Server)}
		if auth.Password != "" {
			registry.Username = pulumi.String(auth.Username)
			registry.Password = pulumi.ToSecret(pulumi.String(auth.Password)).(pulumi.StringOutput)
		}
		args.Registry = registry
	}
	return docker.NewImage(ctx, name, args, opts...)
}
