package pythonfunction

import (
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// policyDocument is an IAM policy (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html).
type policyDocument struct {
	Version   string
	Statement []statement
}

type statement struct {
	Effect    string
	Action    any
	Principal any    `json:",omitempty"`
	Resource  string `json:",omitempty"`
}

func (d policyDocument) json() (string, error) {
	d.Version = "2012-10-17"
	text, err := json.Marshal(d)
	return string(text), err
}

// registerRole creates the function's role, which may write to the function's own log group and do what the arguments
// ask for, and returns what the function has to wait for.
func (f *PythonFunction) registerRole(ctx *pulumi.Context, name string, args *Args, parent pulumi.ResourceOption) ([]pulumi.Resource, error) {
	trust, err := policyDocument{Statement: []statement{{
		Effect: "Allow", Action: "sts:AssumeRole", Principal: map[string]string{"Service": "lambda.amazonaws.com"},
	}}}.json()
	if err != nil {
		return nil, err
	}
	f.Role, err = iam.NewRole(ctx, name+"-role", &iam.RoleArgs{
		AssumeRolePolicy: pulumi.String(trust),
		Description:      pulumi.String("Execution role of the Lambda function " + args.FunctionName),
		Path:             pulumi.String("/" + ctx.Project() + "/" + ctx.Stack() + "/"), // what bootstrap/ tells stacks apart by
		Tags:             args.tags(ctx),
	}, parent, pulumi.Protect(args.Protect))
	if err != nil {
		return nil, err
	}
	policies := map[string]pulumi.StringInput{"logs-policy": allow(f.LogGroup.Arn, ":*", "logs:CreateLogStream", "logs:PutLogEvents")}
	if args.DeadLetterTarget != nil {
		policies["dead-letter-policy"] = args.DeadLetterTarget.ToStringOutput().ApplyT(func(arn string) (string, error) {
			action := "sqs:SendMessage"
			if strings.Contains(arn, ":sns:") {
				action = "sns:Publish"
			}
			return allowText(arn, action)
		}).(pulumi.StringOutput)
	}
	maps.Copy(policies, args.Policies)
	return f.attach(ctx, name, args, policies, parent)
}

// tracingPolicy is AWS's own for sending traces; X-Ray has no resources that it could be limited to.
const tracingPolicy = "AWSXRayDaemonWriteAccess"

// attach puts policies on the role.
func (f *PythonFunction) attach(ctx *pulumi.Context, name string, args *Args, policies map[string]pulumi.StringInput, parent pulumi.ResourceOption) ([]pulumi.Resource, error) {
	var attached []pulumi.Resource
	for _, key := range slices.Sorted(maps.Keys(policies)) {
		policy, err := iam.NewRolePolicy(ctx, name+"-"+key, &iam.RolePolicyArgs{Role: f.Role.ID(), Policy: policies[key]}, parent)
		if err != nil {
			return nil, err
		}
		attached = append(attached, policy)
	}
	managed := func(key string, arn pulumi.StringInput) error {
		attachment, err := iam.NewRolePolicyAttachment(ctx, name+"-"+key, &iam.RolePolicyAttachmentArgs{Role: f.Role.Name, PolicyArn: arn}, parent)
		attached = append(attached, attachment)
		return err
	}
	for _, arn := range args.ManagedPolicies {
		if err := managed(path.Base(arn), pulumi.String(arn)); err != nil {
			return nil, err
		}
	}
	if args.Tracing {
		arn := f.Role.Arn.ApplyT(func(role string) string {
			_, rest, _ := strings.Cut(role, ":")
			partition, _, _ := strings.Cut(rest, ":") // aws, aws-cn, aws-us-gov
			return "arn:" + partition + ":iam::aws:policy/" + tracingPolicy
		}).(pulumi.StringOutput)
		if err := managed(tracingPolicy, arn); err != nil {
			return nil, err
		}
	}
	return attached, nil
}

// allow returns a policy that allows actions on one resource.
func allow(arn pulumi.StringOutput, suffix string, actions ...string) pulumi.StringOutput {
	return arn.ApplyT(func(arn string) (string, error) { return allowText(arn+suffix, actions...) }).(pulumi.StringOutput)
}

func allowText(resource string, actions ...string) (string, error) {
	return policyDocument{Statement: []statement{{Effect: "Allow", Action: actions, Resource: resource}}}.json()
}
