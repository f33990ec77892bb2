package pythonfunction

import (
	"encoding/json"

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

// registerRole creates the function's role, which may write to the function's own log group and do nothing else.
func (f *PythonFunction) registerRole(ctx *pulumi.Context, name string, args *Args, parent pulumi.ResourceOption) (*iam.RolePolicy, error) {
	trust, err := policyDocument{Statement: []statement{{
		Effect: "Allow", Action: "sts:AssumeRole", Principal: map[string]string{"Service": "lambda.amazonaws.com"},
	}}}.json()
	if err != nil {
		return nil, err
	}
	f.Role, err = iam.NewRole(ctx, name+"-role", &iam.RoleArgs{
		AssumeRolePolicy: pulumi.String(trust),
		Description:      pulumi.String("Execution role of the Lambda function " + args.FunctionName),
		Tags:             args.Tags,
	}, parent)
	if err != nil {
		return nil, err
	}
	return iam.NewRolePolicy(ctx, name+"-logs-policy", &iam.RolePolicyArgs{
		Role: f.Role.ID(),
		Policy: f.LogGroup.Arn.ApplyT(func(arn string) (string, error) {
			return policyDocument{Statement: []statement{{
				Effect: "Allow", Action: []string{"logs:CreateLogStream", "logs:PutLogEvents"}, Resource: arn + ":*",
			}}}.json()
		}).(pulumi.StringOutput),
	}, parent)
}
