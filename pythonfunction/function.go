// Package pythonfunction is a Pulumi component for a Python Lambda function: bundled for its architecture on any host,
// verified before anything is registered, with a role and a log group of its own.
package pythonfunction

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/lambda"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"golang.org/x/sync/errgroup"

	"sample-python-arm64-lambda/bundle"
)

// Type is the component's type token.
const Type = "python-lambda:index:PythonFunction"

// Args says what the function is made of and how it runs. Fields without a word about it are required.
type Args struct {
	// FunctionName is the function's name on AWS.
	FunctionName string
	// Bundle says what goes into the zip; its Target is the function's runtime and architecture.
	Bundle bundle.Spec
	// Options are the bundler's, where its cache is for instance.
	Options bundle.Options
	// OutputDir is the folder that gets the zip, "dist" where it is empty.
	OutputDir string
	// SHA256 is the digest that the bundle has to have, in hexadecimal: what another stack verified, or nothing, is deployed.
	// With a layer it is the function's and the layer's, with a comma between them. Empty for any.
	SHA256 string
	// Shared is what functions with equal dependencies have in common, a layer for instance; nil for nothing.
	Shared *Shared
	// Protect has Pulumi refuse to delete or replace the function, its alias, role and logs.
	Protect bool
	// Registry keeps the image of the docker builder; optional.
	Registry *Registry
	// MemorySize is in MB; 0 is Lambda's own default, 128.
	MemorySize int
	// Timeout is in seconds; 0 is Lambda's own default, 3.
	Timeout int
	// Environment holds the function's variables; optional.
	Environment pulumi.StringMapInput
	// LogRetentionDays is how long the logs are kept; 0 keeps them for ever.
	LogRetentionDays int
	// ArtifactBucket gives the bucket that takes the zip on its way to Lambda, which a zip of more than 52,428,800 bytes has
	// to go; nil for none. It is called after bundling, so that a bucket may be registered in it.
	ArtifactBucket func() (pulumi.StringInput, error)
	// SmokeTest is what a new version has to pass before it gets traffic; nil for none.
	SmokeTest *SmokeTest
	// LiveVersion pins alias live to a version, once that has passed the smoke test, which rolls back; empty for the newest.
	LiveVersion string
	// CanaryWeight, above 0 and below 1, is the share of calls that the newest version gets, while the version that the
	// alias pointed at before gets the rest; 0 moves the alias as a whole.
	CanaryWeight float64
	// LogFormat is "JSON" or "Text"; JSON where it is empty.
	LogFormat string
	// EphemeralStorage is the size of /tmp in MB, 512 to 10240; 0 is Lambda's own default, 512.
	EphemeralStorage int
	// ReservedConcurrency is how many of the account's concurrent executions the function has for itself; nil for none.
	ReservedConcurrency pulumi.IntPtrInput
	// DeadLetterTarget is the ARN of a queue or topic for events that failed for good; optional.
	DeadLetterTarget pulumi.StringInput
	// Tracing turns on AWS X-Ray.
	Tracing bool
	// VPC is the network that the function is in; optional. The role then needs ManagedPolicies with
	// service-role/AWSLambdaVPCAccessExecutionRole or the like.
	VPC lambda.FunctionVpcConfigPtrInput
	// URL gives the alias a function URL; nil for none.
	URL *URL
	// Policies are further inline policies of the role, JSON documents by name; ManagedPolicies are ARNs.
	Policies        map[string]pulumi.StringInput
	ManagedPolicies []string
	// Tags are put on the function, its logs and its role, with project and stack beside them; optional.
	Tags pulumi.StringMap

	code *code // made by Bundle
}

// PythonFunction is a deployed function. The resources it is made of are its children.
type PythonFunction struct {
	pulumi.ResourceState

	Role     *iam.Role
	LogGroup *cloudwatch.LogGroup
	Function *lambda.Function
	Alias    *lambda.Alias

	FunctionName pulumi.StringOutput `pulumi:"functionName"`
	FunctionArn  pulumi.StringOutput `pulumi:"functionArn"`
	// AliasArn is what callers and triggers should name.
	AliasArn pulumi.StringOutput `pulumi:"aliasArn"`
	// URL is the function URL; unset without one.
	URL pulumi.StringOutput `pulumi:"url"`
	// Version is the newest version.
	Version pulumi.StringOutput `pulumi:"version"`
	// LiveVersion is the one that AliasArn leads to: the newest, unless Args.LiveVersion or Args.CanaryWeight say otherwise.
	LiveVersion pulumi.StringOutput `pulumi:"liveVersion"`
	// Image is the image that the docker builder's dependencies came from, by digest or local ID; "" for wheels.
	Image pulumi.StringOutput `pulumi:"image"`
	// Bundle has the digest, sizes in bytes and packages of the zip.
	Bundle pulumi.MapOutput `pulumi:"bundle"`
}

// Bundle makes the zips of functions before anything is registered for any of them, several at once. New does it for a
// function that Bundle was not called with.
func Bundle(ctx *pulumi.Context, functions ...*Args) error {
	group := errgroup.Group{}
	group.SetLimit(runtime.GOMAXPROCS(0))
	errs := make([]error, len(functions))
	for i, args := range functions {
		if args.code != nil {
			continue
		}
		group.Go(func() error {
			var err error
			if args.code, err = prepare(ctx, args); err != nil {
				errs[i] = fmt.Errorf("bundling function %q: %w", args.FunctionName, err)
			}
			return nil // all of them are told
		})
	}
	return errors.Join(append(errs, group.Wait())...)
}

// New bundles the function and registers it and what it needs, named after name. A bundle that would not load is an
// error before anything is registered; where the docker builder makes the dependencies, their image is registered first.
func New(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*PythonFunction, error) {
	if err := Bundle(ctx, args); err != nil {
		return nil, err
	}
	c, f := args.code, &PythonFunction{}
	if err := ctx.RegisterComponentResource(Type, name, f, opts...); err != nil {
		return nil, err
	}
	manifest, err := c.manifest(ctx, name, f)
	if err != nil {
		return nil, err
	}
	if err := f.register(ctx, name, args, manifest); err != nil {
		return nil, err
	}
	f.FunctionName, f.FunctionArn, f.AliasArn, f.Version = f.Function.Name, f.Function.Arn, f.Alias.Arn, f.Function.Version
	f.LiveVersion, f.Image = f.Alias.FunctionVersion, c.image
	f.Bundle = manifest.ApplyT(func(v any) map[string]any { return describe(v.(*bundle.Manifest)) }).(pulumi.MapOutput)
	return f, ctx.RegisterResourceOutputs(f, pulumi.Map{
		"functionName": f.FunctionName, "functionArn": f.FunctionArn, "aliasArn": f.AliasArn, "version": f.Version, "liveVersion": f.LiveVersion,
		"url": f.URL, "image": f.Image, "bundle": f.Bundle,
	})
}

// register creates the children: logs before the function, so that Lambda does not make them without retention.
func (f *PythonFunction) register(ctx *pulumi.Context, name string, args *Args, manifest pulumi.Output) (err error) {
	parent := pulumi.Parent(f)
	retention := pulumi.IntPtrInput(nil)
	if args.LogRetentionDays > 0 {
		retention = pulumi.Int(args.LogRetentionDays)
	}
	f.LogGroup, err = cloudwatch.NewLogGroup(ctx, name+"-logs", &cloudwatch.LogGroupArgs{
		Name: pulumi.String("/aws/lambda/" + args.FunctionName), RetentionInDays: retention, Tags: args.tags(ctx),
	}, parent, pulumi.Protect(args.Protect))
	if err != nil {
		return err
	}
	policies, err := f.registerRole(ctx, name, args, parent)
	if err != nil {
		return err
	}
	t := args.target()
	code, err := send(ctx, name, args.FunctionName, args, manifest, func(m *bundle.Manifest) *bundle.Artifact {
		return &bundle.Artifact{Path: m.Path, SHA256: m.SHA256}
	}, parent)
	if err != nil {
		return err
	}
	functionArgs := &lambda.FunctionArgs{
		Name:          pulumi.String(args.FunctionName),
		Role:          f.Role.Arn,
		Runtime:       pulumi.String(t.Runtime.Name),
		Architectures: pulumi.StringArray{pulumi.String(t.Arch)},
		Handler:       pulumi.String(args.Bundle.Handler),
		LoggingConfig: &lambda.FunctionLoggingConfigArgs{LogFormat: pulumi.String(args.logFormat()), LogGroup: f.LogGroup.Name},
		Publish:       pulumi.Bool(true),
		Tags:          args.tags(ctx),
		Code:          code.archive, S3Bucket: code.bucket, S3Key: code.key, SourceCodeHash: code.hash,
	}
	if args.layered() {
		layer, err := args.Shared.layer(ctx, args, args.code, manifest)
		if err != nil {
			return err
		}
		if layer != nil {
			functionArgs.Layers = pulumi.StringArray{layer.Arn}
		}
	}
	args.setOptions(functionArgs)
	f.Function, err = lambda.NewFunction(ctx, name+"-function", functionArgs, parent, pulumi.DependsOn(policies), pulumi.Protect(args.Protect))
	if err != nil {
		return err
	}
	if err := f.registerAlias(ctx, name, args, parent); err != nil {
		return err
	}
	f.URL = pulumi.String("").ToStringOutput()
	if args.URL == nil {
		return nil
	}
	return f.registerURL(ctx, name, args, parent)
}
