package pythonfunction

import (
	"encoding/json"
	"maps"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudformation"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/lambda"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"sample-python-arm64-lambda/bundle/target"
)

// URL is a function URL of alias live.
type URL struct {
	// Public lets anyone call it; else callers sign their requests with IAM credentials, which need
	// lambda:InvokeFunctionUrl and lambda:InvokeFunction on the alias.
	Public bool
}

// setOptions sets what is left to Lambda's own defaults where it is not asked for.
func (a *Args) setOptions(to *lambda.FunctionArgs) {
	if a.MemorySize > 0 {
		to.MemorySize = pulumi.Int(a.MemorySize)
	}
	if a.Timeout > 0 {
		to.Timeout = pulumi.Int(a.Timeout)
	}
	if a.Environment != nil {
		to.Environment = &lambda.FunctionEnvironmentArgs{Variables: a.Environment}
	}
	if a.EphemeralStorage > 0 {
		to.EphemeralStorage = &lambda.FunctionEphemeralStorageArgs{Size: pulumi.Int(a.EphemeralStorage)}
	}
	if a.DeadLetterTarget != nil {
		to.DeadLetterConfig = &lambda.FunctionDeadLetterConfigArgs{TargetArn: a.DeadLetterTarget}
	}
	if a.Tracing {
		to.TracingConfig = &lambda.FunctionTracingConfigArgs{Mode: pulumi.String("Active")}
	}
	to.ReservedConcurrentExecutions, to.VpcConfig = a.ReservedConcurrency, a.VPC
}

// target returns the function's runtime and architecture.
func (a *Args) target() target.Target {
	if a.Bundle.Target == (target.Target{}) {
		return target.Default
	}
	return a.Bundle.Target
}

// layered says whether the dependencies go into a layer.
func (a *Args) layered() bool { return a.Shared != nil && a.Shared.Layer }

// logFormat returns the format of the function's log (https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html).
func (a *Args) logFormat() string {
	if a.LogFormat == "" {
		return "JSON"
	}
	return a.LogFormat
}

// tags returns the tags of the function and what is made for it. The commit is not among them: it would update each of them
// at every commit, also where nothing changed.
func (a *Args) tags(ctx *pulumi.Context) pulumi.StringMap {
	tags := pulumi.StringMap{"project": pulumi.String(ctx.Project()), "stack": pulumi.String(ctx.Stack())}
	maps.Copy(tags, a.Tags)
	return tags
}

// registerURL gives the alias a URL.
func (f *PythonFunction) registerURL(ctx *pulumi.Context, name string, args *Args, parent pulumi.ResourceOption) error {
	auth := "AWS_IAM"
	if args.URL.Public {
		auth = "NONE"
	}
	url, err := lambda.NewFunctionUrl(ctx, name+"-url", &lambda.FunctionUrlArgs{
		FunctionName: f.Function.Name, Qualifier: f.Alias.Name, AuthorizationType: pulumi.String(auth),
	}, parent)
	if err != nil {
		return err
	}
	f.URL = url.FunctionUrl
	if !args.URL.Public {
		return nil
	}
	if _, err = lambda.NewPermission(ctx, name+"-url-permission", &lambda.PermissionArgs{
		Action: pulumi.String("lambda:InvokeFunctionUrl"), Function: f.Function.Name, Qualifier: f.Alias.Name,
		Principal: pulumi.String("*"), FunctionUrlAuthType: pulumi.String(auth),
	}, parent); err != nil {
		return err
	}
	// A URL needs a second permission since October 2025 (https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html). The
	// provider's resource cannot limit it to calls through the URL in version 6, CloudFormation's can; without that limit any
	// account could invoke the alias with an event that looks like whatever it wants.
	_, err = cloudformation.NewStack(ctx, name+"-url-invoke", &cloudformation.StackArgs{
		TemplateBody: f.Alias.Arn.ApplyT(invokeThroughURL).(pulumi.StringOutput), Tags: args.tags(ctx),
	}, parent)
	return err
}

// invokeThroughURL returns a CloudFormation template that lets anyone invoke an alias through its URL alone.
func invokeThroughURL(alias string) (string, error) {
	text, err := json.Marshal(map[string]any{"Resources": map[string]any{"Invoke": map[string]any{
		"Type": "AWS::Lambda::Permission",
		"Properties": map[string]any{
			"FunctionName": alias, "Action": "lambda:InvokeFunction", "Principal": "*", "InvokedViaFunctionUrl": true,
		},
	}}})
	return string(text), err
}
