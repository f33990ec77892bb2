package pythonfunction

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/lambda"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// aliasName is the alias that callers use. It only ever points at a version that passed its smoke test.
const aliasName = "live"

// SmokeTest is an invocation of each new version, before any caller gets it.
type SmokeTest struct {
	// Event is the JSON event that the version is invoked with.
	Event json.RawMessage
	// Expect is the JSON value that it has to return; nil accepts whatever it returns without an error.
	Expect json.RawMessage
	// Secret keeps event and result encrypted in the state, and out of errors.
	Secret bool
}

// check compares what a version returned with what was expected, as JSON values. The URN is the invocation's, whose result
// the engine keeps until it is told to replace it.
func (s *SmokeTest) check(version, result, urn string) error {
	if s.Expect == nil {
		return nil
	}
	var got, want any
	if err := json.Unmarshal([]byte(result), &got); err != nil {
		return fmt.Errorf("the smoke test of version %s returned %s, which is not JSON: %w", version, s.show([]byte(result)), err)
	}
	if err := json.Unmarshal(s.Expect, &want); err != nil {
		return fmt.Errorf("reading the smoke test's expected result: %w", err)
	}
	if reflect.DeepEqual(got, want) {
		return nil
	}
	return fmt.Errorf("the smoke test of version %s failed, and alias %q was not moved to it:\n  got  %s\n  want %s\n"+
		"  cure: correct the function, or smokeTest.expect in the stack's configuration; to invoke this version once more, pulumi up --replace '%s'",
		version, aliasName, s.show([]byte(result)), s.show(s.Expect), urn)
}

// show returns a JSON value as errors have it.
func (s *SmokeTest) show(text []byte) string {
	if s.Secret {
		return "[secret]"
	}
	return compact(text)
}

func compact(text []byte) string {
	var out bytes.Buffer
	if json.Compact(&out, text) != nil {
		return string(text)
	}
	return out.String()
}

// registerAlias invokes the version that the alias is to point at, the newest or a pinned one, and then, and only then, moves
// the alias. A version that fails, returns an error or something unexpected stops the update: what comes after depends on it.
func (f *PythonFunction) registerAlias(ctx *pulumi.Context, name string, args *Args, parent pulumi.ResourceOrInvokeOption) error {
	version := f.Function.Version
	if args.LiveVersion != "" {
		version = pulumi.String(args.LiveVersion).ToStringOutput()
	}
	if test := args.SmokeTest; test != nil {
		text := "{}"
		if test.Event != nil {
			text = compact(test.Event)
		}
		event, opts := pulumi.String(text).ToStringOutput(), []pulumi.ResourceOption{parent}
		if test.Secret {
			event, opts = pulumi.ToSecret(event).(pulumi.StringOutput), append(opts, pulumi.AdditionalSecretOutputs([]string{"result"}))
		}
		invocation, err := lambda.NewInvocation(ctx, name+"-smoke-test", &lambda.InvocationArgs{
			FunctionName: f.Function.Name, Qualifier: version, Input: event,
		}, opts...)
		if err != nil {
			return err
		}
		tested := pulumi.All(version, invocation.Result, invocation.URN()).ApplyT(func(v []any) (string, error) {
			return v[0].(string), test.check(v[0].(string), v[1].(string), string(v[2].(pulumi.URN)))
		})
		version = pulumi.Unsecret(tested).(pulumi.StringOutput) // a version's number is none
	}
	alias := &lambda.AliasArgs{
		Name: pulumi.String(aliasName), FunctionName: f.Function.Name, FunctionVersion: version,
		Description: pulumi.String("The version that callers get"),
	}
	if args.LiveVersion == "" && args.CanaryWeight > 0 {
		if err := args.setCanary(ctx, alias, version, parent); err != nil {
			return err
		}
	}
	var err error
	f.Alias, err = lambda.NewAlias(ctx, name+"-live", alias, parent, pulumi.Protect(args.Protect))
	return err
}

// setCanary leaves the alias at the version that it points at now, and gives the newest one its share. Where there is no
// alias yet, or it points at the newest version already, all calls go to that one. The parent's provider is asked.
func (a *Args) setCanary(ctx *pulumi.Context, alias *lambda.AliasArgs, newest pulumi.StringOutput, parent pulumi.InvokeOption) error {
	now, err := lambda.LookupAlias(ctx, &lambda.LookupAliasArgs{FunctionName: a.FunctionName, Name: aliasName}, parent)
	if err != nil && (strings.Contains(err.Error(), "couldn't find resource") || strings.Contains(err.Error(), "ResourceNotFoundException")) {
		return nil // the first deployment, in the words of newer and of older providers
	}
	if err != nil {
		return fmt.Errorf("finding the version that alias %q points at: %w", aliasName, err)
	}
	alias.FunctionVersion = pulumi.All(newest).ApplyT(func([]any) string { return now.FunctionVersion }).(pulumi.StringOutput)
	alias.RoutingConfig = newest.ApplyT(func(version string) *lambda.AliasRoutingConfig {
		if version == now.FunctionVersion {
			return nil
		}
		return &lambda.AliasRoutingConfig{AdditionalVersionWeights: map[string]float64{version: a.CanaryWeight}}
	}).(lambda.AliasRoutingConfigPtrOutput)
	return nil
}
