package provider

import (
	"maps"
	"path/filepath"
	"testing"

	awssdk "github.com/pulumi/pulumi-aws/sdk/v6/go/aws"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ecr"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/lambda"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/s3"
	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optdestroy"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// release is the part of the provider that later stages of a deployment use; memory varies, in MB.
func release(memory *int) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		provider, err := awssdk.NewProvider(ctx, "eu", &awssdk.ProviderArgs{
			Region: pulumi.String("eu-west-1"), SkipCredentialsValidation: pulumi.Bool(true),
			DefaultTags: awssdk.ProviderDefaultTagsArgs{Tags: pulumi.StringMap{"team": pulumi.String("blue")}},
		})
		if err != nil {
			return err
		}
		r := &recorder{ctx: ctx, options: []pulumi.ResourceOption{pulumi.Provider(provider)}}
		r.storage()
		r.function(*memory)
		identity, err := awssdk.GetCallerIdentity(ctx, nil)
		if err != nil {
			return err
		}
		home, err := awssdk.GetRegion(ctx, nil)
		if err != nil {
			return err
		}
		token, err := ecr.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenArgs{})
		if err != nil {
			return err
		}
		ctx.Export("account", pulumi.String(identity.AccountId))
		ctx.Export("region", pulumi.String(home.Name))
		ctx.Export("user", pulumi.String(token.UserName))
		return r.err
	}
}

// recorder registers resources until one fails.
type recorder struct {
	ctx     *pulumi.Context
	options []pulumi.ResourceOption
	object  *s3.BucketObjectv2
	err     error
}

func add[R, A any](r *recorder, name string, register func(*pulumi.Context, string, A, ...pulumi.ResourceOption) (R, error), args A) (made R) {
	if r.err == nil {
		made, r.err = register(r.ctx, name, args, r.options...)
	}
	return made
}

func (r *recorder) storage() {
	bucket := add(r, "artifacts", s3.NewBucketV2, &s3.BucketV2Args{ForceDestroy: pulumi.Bool(true)})
	add(r, "block", s3.NewBucketPublicAccessBlock, &s3.BucketPublicAccessBlockArgs{
		Bucket: bucket.ID(), BlockPublicAcls: pulumi.Bool(true), BlockPublicPolicy: pulumi.Bool(true),
		IgnorePublicAcls: pulumi.Bool(true), RestrictPublicBuckets: pulumi.Bool(true)})
	add(r, "encryption", s3.NewBucketServerSideEncryptionConfigurationV2, &s3.BucketServerSideEncryptionConfigurationV2Args{
		Bucket: bucket.ID(), Rules: s3.BucketServerSideEncryptionConfigurationV2RuleArray{
			s3.BucketServerSideEncryptionConfigurationV2RuleArgs{
				ApplyServerSideEncryptionByDefault: s3.BucketServerSideEncryptionConfigurationV2RuleApplyServerSideEncryptionByDefaultArgs{
					SseAlgorithm: pulumi.String("AES256")}}}})
	add(r, "lifecycle", s3.NewBucketLifecycleConfigurationV2, &s3.BucketLifecycleConfigurationV2Args{
		Bucket: bucket.ID(), Rules: s3.BucketLifecycleConfigurationV2RuleArray{s3.BucketLifecycleConfigurationV2RuleArgs{
			Id: pulumi.String("old"), Status: pulumi.String("Enabled"),
			Filter:                      s3.BucketLifecycleConfigurationV2RuleFilterArgs{Prefix: pulumi.String("bundles/")},
			NoncurrentVersionExpiration: s3.BucketLifecycleConfigurationV2RuleNoncurrentVersionExpirationArgs{NoncurrentDays: pulumi.Int(30)},
		}}})
	r.object = add(r, "bundle", s3.NewBucketObjectv2, &s3.BucketObjectv2Args{
		Bucket: bucket.ID(), Key: pulumi.String("bundles/f.zip"), Source: pulumi.NewFileAsset("f.zip")})
	add(r, "images", ecr.NewRepository, &ecr.RepositoryArgs{ForceDelete: pulumi.Bool(true),
		ImageScanningConfiguration: ecr.RepositoryImageScanningConfigurationArgs{ScanOnPush: pulumi.Bool(true)}})
}

func (r *recorder) function(memory int) {
	role := add(r, "role", iam.NewRole, &iam.RoleArgs{AssumeRolePolicy: pulumi.String(assume)})
	add(r, "basic", iam.NewRolePolicyAttachment, &iam.RolePolicyAttachmentArgs{
		Role: role.Name, PolicyArn: pulumi.String("arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")})
	layer := add(r, "layer", lambda.NewLayerVersion, &lambda.LayerVersionArgs{
		LayerName: pulumi.String("deps"), Code: pulumi.NewFileArchive("f.zip"), CompatibleRuntimes: pulumi.StringArray{pulumi.String("python3.11")}})
	f := add(r, "f", lambda.NewFunction, &lambda.FunctionArgs{
		Role: role.Arn, Runtime: pulumi.String("python3.11"), Handler: pulumi.String("main.handler"), Publish: pulumi.Bool(true),
		S3Bucket: r.object.Bucket, S3Key: r.object.Key, MemorySize: pulumi.Int(memory), Layers: pulumi.StringArray{layer.Arn},
		ReservedConcurrentExecutions: pulumi.Int(2), Description: pulumi.String("a function"),
	})
	add(r, "smoke", lambda.NewInvocation, &lambda.InvocationArgs{
		FunctionName: f.Name, Qualifier: f.Version, Input: pulumi.String(`{"key": "value"}`)})
	add(r, "live", lambda.NewAlias, &lambda.AliasArgs{Name: pulumi.String("live"), FunctionName: f.Name, FunctionVersion: f.Version})
	add(r, "url", lambda.NewFunctionUrl, &lambda.FunctionUrlArgs{FunctionName: f.Name, AuthorizationType: pulumi.String("AWS_IAM")})
}

func TestEngineReleasesAVersion(t *testing.T) {
	startMoto(t)
	memory := 256
	stack := newStack(t, release(&memory))
	ctx := t.Context()
	writeZip(t, filepath.Join(stack.Workspace().WorkDir(), "f.zip"), "one")
	up := func(want map[string]int) auto.OutputMap {
		t.Helper()
		result, err := stack.Up(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if got := *result.Summary.ResourceChanges; !maps.Equal(got, want) {
			t.Errorf("changes %v, want %v\n%s", got, want, result.StdOut)
		}
		return result.Outputs
	}
	outputs := up(map[string]int{"create": 15})
	if got := outputs["region"].Value; got != region {
		t.Errorf("the default provider's region is %v, want %v: the explicit one's must not be", got, region)
	}
	up(map[string]int{"same": 15})
	refreshed, err := stack.Refresh(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := *refreshed.Summary.ResourceChanges, (map[string]int{"same": 15}); !maps.Equal(got, want) {
		t.Errorf("refresh changes %v, want %v\n%s", got, want, refreshed.StdOut)
	}
	up(map[string]int{"same": 15})

	memory = 512
	preview, err := stack.Preview(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if preview.ChangeSummary["update"] != 2 || preview.ChangeSummary["replace"] != 1 {
		t.Errorf("preview %v, want the function and the alias updated and the invocation replaced", preview.ChangeSummary)
	}
	up(map[string]int{"same": 12, "update": 2, "replace": 1})

	if _, err := stack.Destroy(ctx, optdestroy.Remove()); err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{region, "eu-west-1"} {
		c, err := (&settings{Region: where}).connect(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if left := leftovers(t, c); len(left) > 0 {
			t.Errorf("destroy leaves %v in %s", left, where)
		}
	}
}
