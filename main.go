// The program: one Python Lambda function for arm64, from the configuration of a stack.
package main

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"sample-python-arm64-lambda/bundle"
	"sample-python-arm64-lambda/internal/stack"
	"sample-python-arm64-lambda/pythonfunction"
)

// program deploys the function that the stack's configuration describes: what is wrong with the configuration or the
// bundle is told before anything is registered.
func program(ctx *pulumi.Context) error {
	s, err := stack.Load(ctx)
	if err != nil {
		return err
	}
	args := &pythonfunction.Args{
		FunctionName: s.FunctionName,
		Bundle: bundle.Spec{
			Target:       s.Target,
			Requirements: s.Requirements,
			Source:       s.Source,
			Exclude:      s.Exclude,
			Handler:      s.Handler,
			Builder:      s.Builder,
			Image:        s.Image,
		},
		Options:          bundle.Options{CacheDir: s.CacheDir, Ignore: s.VerifyIgnore},
		OutputDir:        s.OutputDir,
		MemorySize:       s.MemorySize,
		Timeout:          s.Timeout,
		Environment:      s.Environment,
		LogRetentionDays: s.LogRetentionDays,
		CanaryWeight:     s.CanaryWeight,
		LiveVersion:      s.LiveVersion,
	}
	if s.SmokeTest != nil {
		args.SmokeTest = &pythonfunction.SmokeTest{Event: s.SmokeTest.Event, Expect: s.SmokeTest.Expect}
	}
	if s.Registry != "" {
		args.Registry = &pythonfunction.Registry{Repository: s.Registry}
	}
	switch s.ArtifactBucket {
	case "":
	case stack.CreateBucket:
		args.ArtifactBucket = func() (pulumi.StringInput, error) {
			bucket, err := pythonfunction.ArtifactBucket(ctx, "artifacts", nil)
			if err != nil {
				return nil, err
			}
			return bucket.Bucket, nil
		}
	default:
		args.ArtifactBucket = func() (pulumi.StringInput, error) { return pulumi.String(s.ArtifactBucket), nil }
	}
	function, err := pythonfunction.New(ctx, "function", args)
	if err != nil {
		return err
	}
	ctx.Export("functionName", function.FunctionName)
	ctx.Export("functionArn", function.FunctionArn)
	ctx.Export("aliasArn", function.AliasArn)
	ctx.Export("version", function.Version)
	ctx.Export("image", function.Image)
	ctx.Export("bundle", function.Bundle)
	return nil
}
