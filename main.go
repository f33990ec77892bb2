// The program: Python Lambda functions for arm64, from the configuration of a stack.
package main

import (
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"sample-python-arm64-lambda/bundle"
	"sample-python-arm64-lambda/internal/stack"
	"sample-python-arm64-lambda/pythonfunction"
)

// program deploys the functions that the stack's configuration describes: what is wrong with the configuration or a
// bundle is told before anything is registered.
func program(ctx *pulumi.Context) error {
	s, err := stack.Load(ctx)
	if err != nil {
		return err
	}
	var shared *pythonfunction.Shared
	if s.Layer || len(s.Functions) > 1 {
		shared = &pythonfunction.Shared{Layer: s.Layer}
	}
	bucket := artifactBucket(ctx, s)
	var all []*pythonfunction.Args
	for _, f := range s.Functions {
		args := functionArgs(s, f)
		args.Shared, args.ArtifactBucket = shared, bucket
		all = append(all, args)
	}
	if err := pythonfunction.Bundle(ctx, all...); err != nil {
		return err
	}
	several := pulumi.Map{}
	for i, f := range s.Functions {
		name := "function"
		if f.Name != "" {
			name = f.Name
		}
		function, err := pythonfunction.New(ctx, name, all[i])
		if err != nil {
			return err
		}
		several[f.Name] = pulumi.Map{
			"functionName": function.FunctionName,
			"functionArn":  function.FunctionArn,
			"aliasArn":     function.AliasArn,
			"version":      function.Version,
			"liveVersion":  function.LiveVersion,
			"image":        function.Image,
			"bundle":       function.Bundle,
		}
	}
	if alone, ok := several[""].(pulumi.Map); ok {
		for name, output := range alone {
			ctx.Export(name, output)
		}
		return nil
	}
	ctx.Export("functions", several)
	return nil
}

// functionArgs turns settings into the component's arguments.
func functionArgs(s *stack.Settings, f *stack.Function) *pythonfunction.Args {
	args := &pythonfunction.Args{
		FunctionName: f.FunctionName,
		Bundle: bundle.Spec{
			Target:       f.Target,
			Requirements: f.Requirements,
			Source:       f.Source,
			Exclude:      f.Exclude,
			Handler:      f.Handler,
			Builder:      f.Builder,
			Image:        f.Image,
		},
		Options:          bundle.Options{Ignore: f.VerifyIgnore},
		OutputDir:        s.OutputDir,
		MemorySize:       f.MemorySize,
		Timeout:          f.Timeout,
		Environment:      f.Environment,
		LogRetentionDays: f.LogRetentionDays,
		CanaryWeight:     f.CanaryWeight,
		LiveVersion:      f.LiveVersion,
		Protect:          s.Protect,
		SHA256:           f.SHA256,
	}
	if f.SmokeTest != nil {
		args.SmokeTest = &pythonfunction.SmokeTest{Event: f.SmokeTest.Event, Expect: f.SmokeTest.Expect, Secret: f.SmokeTest.Secret}
	}
	if s.Registry != "" {
		args.Registry = &pythonfunction.Registry{Repository: s.Registry}
	}
	return args
}

// artifactBucket returns what gives the functions their bucket; nil for none.
func artifactBucket(ctx *pulumi.Context, s *stack.Settings) func() (pulumi.StringInput, error) {
	switch s.ArtifactBucket {
	case "":
		return nil
	case stack.CreateBucket:
		return sync.OnceValues(func() (pulumi.StringInput, error) {
			bucket, err := pythonfunction.ArtifactBucket(ctx, "artifacts", pulumi.StringMap{"project": pulumi.String(ctx.Project()), "stack": pulumi.String(ctx.Stack())})
			if err != nil {
				return nil, err
			}
			return bucket.Bucket, nil
		})
	}
	return func() (pulumi.StringInput, error) { return pulumi.String(s.ArtifactBucket), nil }
}
