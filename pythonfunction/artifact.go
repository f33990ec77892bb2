package pythonfunction

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/s3"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"sample-python-arm64-lambda/bundle"
	"sample-python-arm64-lambda/bundle/verify"
)

// uploadDays is how long the bucket keeps the parts of an upload that never ended.
const uploadDays = 1

// ArtifactBucket creates a bucket for bundles: private, encrypted, and without what is left of broken uploads. Functions of
// one stack can share it. It keeps no former versions: an object's name is its content's digest, Lambda has its own copy, and
// for some minutes after they are turned on S3 may not find what was just written
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketVersioning.html).
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
	_, err = s3.NewBucketLifecycleConfigurationV2(ctx, name+"-lifecycle", &s3.BucketLifecycleConfigurationV2Args{
		Bucket: bucket.ID(),
		Rules: s3.BucketLifecycleConfigurationV2RuleArray{s3.BucketLifecycleConfigurationV2RuleArgs{
			Id: pulumi.String("forget-broken-uploads"), Status: pulumi.String("Enabled"), Filter: s3.BucketLifecycleConfigurationV2RuleFilterArgs{Prefix: pulumi.String("")},
			AbortIncompleteMultipartUpload: s3.BucketLifecycleConfigurationV2RuleAbortIncompleteMultipartUploadArgs{DaysAfterInitiation: pulumi.Int(uploadDays)},
		}},
	}, parent)
	return bucket, err
}

// upload is how code gets to Lambda: as an archive, or through a bucket.
type upload struct {
	archive     pulumi.ArchiveInput
	bucket, key pulumi.StringPtrInput
	hash        pulumi.StringPtrInput // SHA-256 in base64
}

// send hands a file of the manifest to Lambda: as an archive or, where there is an artifact bucket, as an object there,
// in folder and under its own SHA-256.
func send(ctx *pulumi.Context, name, folder string, args *Args, manifest pulumi.Output, file func(*bundle.Manifest) *bundle.Artifact, opts ...pulumi.ResourceOption) (*upload, error) {
	path := func(v any) (string, error) { return enginePath(ctx, file(v.(*bundle.Manifest)).Path) }
	if args.ArtifactBucket == nil {
		return &upload{archive: manifest.ApplyT(func(v any) (pulumi.Archive, error) {
			p, err := path(v)
			return pulumi.NewFileArchive(p), err
		}).(pulumi.ArchiveOutput)}, nil
	}
	bucket, err := args.ArtifactBucket()
	if err != nil {
		return nil, err
	}
	object, err := s3.NewBucketObjectv2(ctx, name+"-code", &s3.BucketObjectv2Args{
		Bucket: bucket,
		Key: manifest.ApplyT(func(v any) string {
			return folder + "/" + file(v.(*bundle.Manifest)).SHA256 + ".zip"
		}).(pulumi.StringOutput),
		Source: manifest.ApplyT(func(v any) (pulumi.AssetOrArchive, error) {
			p, err := path(v)
			return pulumi.NewFileAsset(p), err
		}).(pulumi.AssetOrArchiveOutput),
	}, opts...)
	if err != nil {
		return nil, err
	}
	hash := manifest.ApplyT(func(v any) (string, error) {
		sum, err := hex.DecodeString(file(v.(*bundle.Manifest)).SHA256)
		return base64.StdEncoding.EncodeToString(sum), err
	}).(pulumi.StringOutput)
	return &upload{bucket: object.Bucket, key: object.Key, hash: hash}, nil
}

// tooLarge says that a zip of so many bytes is over Lambda's quota for a request, and what makes it so.
func tooLarge(m *bundle.Manifest, zipped int64) error {
	packages := slices.Clone(m.Packages)
	slices.SortStableFunc(packages, func(a, b verify.Package) int { return int(b.Bytes - a.Bytes) })
	var biggest []string
	for _, p := range packages[:min(5, len(packages))] {
		biggest = append(biggest, fmt.Sprintf("%s %s (%d MB unzipped)", p.Name, p.Version, p.Bytes>>20))
	}
	return &bundle.Error{
		What: fmt.Sprintf("the zip has %d bytes, and Lambda takes at most %d in an upload; the biggest packages are %s",
			zipped, maxDirectUpload, strings.Join(biggest, ", ")),
		Cure: "set artifactBucket, to a bucket's name or to create, so that it goes through S3; or leave packages or files out",
	}
}
