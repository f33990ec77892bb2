package pythonfunction

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/lambda"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/s3"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"sample-python-arm64-lambda/bundle"
	"sample-python-arm64-lambda/bundle/verify"
)

// artifactDays is how long the bucket keeps a zip that was replaced; Lambda has its own copy.
const artifactDays = 30

// ArtifactBucket creates a bucket for bundles: private, encrypted, and forgetting what was replaced. Functions of one
// stack can share it.
func ArtifactBucket(ctx *pulumi.Context, name string, tags pulumi.StringMapInput, opts ...pulumi.ResourceOption) (*s3.BucketV2, error) {
	bucket, err := s3.NewBucketV2(ctx, name, &s3.BucketV2Args{ForceDestroy: pulumi.Bool(true), Tags: tags}, opts...)
	if err != nil {
		return nil, err
	}
	parent := pulumi.Parent(bucket)
	yes := pulumi.Bool(true)
	if _, err := s3.NewBucketPublicAccessBlock(ctx, name+"-private", &s3.BucketPublicAccessBlockArgs{
		Bucket: bucket.ID(), BlockPublicAcls: yes, BlockPublicPolicy: yes, IgnorePublicAcls: yes, RestrictPublicBuckets: yes,
	}, parent); err != nil {
		return nil, err
	}
	if _, err := s3.NewBucketServerSideEncryptionConfigurationV2(ctx, name+"-encryption", &s3.BucketServerSideEncryptionConfigurationV2Args{
		Bucket: bucket.ID(),
		Rules: s3.BucketServerSideEncryptionConfigurationV2RuleArray{s3.BucketServerSideEncryptionConfigurationV2RuleArgs{
			ApplyServerSideEncryptionByDefault: s3.BucketServerSideEncryptionConfigurationV2RuleApplyServerSideEncryptionByDefaultArgs{SseAlgorithm: pulumi.String("AES256")},
		}},
	}, parent); err != nil {
		return nil, err
	}
	if _, err := s3.NewBucketVersioningV2(ctx, name+"-versioning", &s3.BucketVersioningV2Args{
		Bucket: bucket.ID(), VersioningConfiguration: s3.BucketVersioningV2VersioningConfigurationArgs{Status: pulumi.String("Enabled")},
	}, parent); err != nil {
		return nil, err
	}
	_, err = s3.NewBucketLifecycleConfigurationV2(ctx, name+"-lifecycle", &s3.BucketLifecycleConfigurationV2Args{
		Bucket: bucket.ID(),
		Rules: s3.BucketLifecycleConfigurationV2RuleArray{s3.BucketLifecycleConfigurationV2RuleArgs{
			Id: pulumi.String("forget-replaced"), Status: pulumi.String("Enabled"), Filter: s3.BucketLifecycleConfigurationV2RuleFilterArgs{Prefix: pulumi.String("")},
			NoncurrentVersionExpiration: s3.BucketLifecycleConfigurationV2RuleNoncurrentVersionExpirationArgs{NoncurrentDays: pulumi.Int(artifactDays)},
		}},
	}, parent)
	return bucket, err
}

// setCode hands the zip to the function: as an archive, or through the artifact bucket under its own SHA-256.
func setCode(ctx *pulumi.Context, name string, args *Args, to *lambda.FunctionArgs, manifest pulumi.Output, parent pulumi.ResourceOption) error {
	if args.ArtifactBucket == nil {
		to.Code = manifest.ApplyT(func(v any) (pulumi.Archive, error) {
			path, err := enginePath(ctx, v.(*bundle.Manifest).Path)
			return pulumi.NewFileArchive(path), err
		}).(pulumi.ArchiveOutput)
		return nil
	}
	bucket, err := args.ArtifactBucket()
	if err != nil {
		return err
	}
	object, err := s3.NewBucketObjectv2(ctx, name+"-code", &s3.BucketObjectv2Args{
		Bucket: bucket,
		Key: manifest.ApplyT(func(v any) string {
			return args.FunctionName + "/" + v.(*bundle.Manifest).SHA256 + ".zip"
		}).(pulumi.StringOutput),
		Source: manifest.ApplyT(func(v any) (pulumi.AssetOrArchive, error) {
			path, err := enginePath(ctx, v.(*bundle.Manifest).Path)
			return pulumi.NewFileAsset(path), err
		}).(pulumi.AssetOrArchiveOutput),
	}, parent)
	if err != nil {
		return err
	}
	to.S3Bucket, to.S3Key = object.Bucket, object.Key
	to.SourceCodeHash = manifest.ApplyT(func(v any) (string, error) {
		sum, err := hex.DecodeString(v.(*bundle.Manifest).SHA256)
		return base64.StdEncoding.EncodeToString(sum), err
	}).(pulumi.StringOutput)
	return nil
}

// tooLarge says that a zip is over Lambda's quota for a request, and what makes it so.
func tooLarge(m *bundle.Manifest) error {
	packages := slices.Clone(m.Packages)
	slices.SortStableFunc(packages, func(a, b verify.Package) int { return int(b.Bytes - a.Bytes) })
	var biggest []string
	for _, p := range packages[:min(5, len(packages))] {
		biggest = append(biggest, fmt.Sprintf("%s %s (%d MB unzipped)", p.Name, p.Version, p.Bytes>>20))
	}
	return &bundle.Error{
		What: fmt.Sprintf("the zip has %d bytes, and Lambda takes at most %d in an upload; the biggest packages are %s",
			m.ZippedBytes, maxDirectUpload, strings.Join(biggest, ", ")),
		Cure: "set artifactBucket, to a bucket's name or to create, so that it goes through S3; or leave packages or files out",
	}
}
