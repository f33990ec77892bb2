package provider

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
)

// getter is a function of the provider: what it takes and what it returns.
type getter struct {
	args schema
	get  func(ctx context.Context, c *clients, args object) (object, error)
}

var getters = map[string]getter{
	"aws:index/getCallerIdentity:getCallerIdentity":       {properties(), getCallerIdentity},
	"aws:index/getRegion:getRegion":                       {properties(), getRegion},
	"aws:index/getPartition:getPartition":                 {properties(), getPartition},
	"aws:ecr/getAuthorizationToken:getAuthorizationToken": {properties("registryId"), getAuthorizationToken},
	"aws:lambda/getAlias:getAlias":                        {properties("functionName", "name"), getAlias},
}

func (p *awsProvider) Invoke(ctx context.Context, r plugin.InvokeRequest) (plugin.InvokeResponse, error) {
	g, ok := getters[string(r.Tok)]
	if !ok {
		return plugin.InvokeResponse{}, fmt.Errorf("the stand-in AWS provider does not know function %q; it knows %s (install the "+
			"real provider plugin, aws %s, to use more)", r.Tok, strings.Join(slices.Sorted(maps.Keys(getters)), ", "), version)
	}
	if failures := g.args.failures("", r.Args); len(failures) > 0 {
		return plugin.InvokeResponse{Failures: failures}, nil
	}
	result, err := g.get(ctx, p.clients, plain(r.Args))
	if err != nil {
		return plugin.InvokeResponse{}, fmt.Errorf("calling %s: %w", r.Tok, err)
	}
	return plugin.InvokeResponse{Properties: resource.NewPropertyMapFromMap(result)}, nil
}

func getCallerIdentity(ctx context.Context, c *clients, _ object) (object, error) {
	answer, err := c.do(ctx, "sts:GetCallerIdentity")
	return answer.with(object{"id": answer["account"], "accountId": answer["account"]}), err
}

func getAlias(ctx context.Context, c *clients, args object) (object, error) {
	answer, err := c.do(ctx, "lambda:GetAlias", args)
	if gone(err) { // in the words of the real one
		err = errors.New("reading Lambda Alias: couldn't find resource")
	}
	arn := answer.string("aliasArn")
	return answer.with(args).with(object{"id": arn, "arn": arn}), err
}

func getRegion(_ context.Context, c *clients, _ object) (object, error) {
	_, suffix := c.partition()
	return object{"id": c.region, "name": c.region, "description": c.region, "endpoint": "ec2." + c.region + "." + suffix}, nil
}

func getPartition(_ context.Context, c *clients, _ object) (object, error) {
	name, suffix := c.partition()
	parts := strings.Split(suffix, ".")
	slices.Reverse(parts)
	return object{"id": name, "partition": name, "dnsSuffix": suffix, "reverseDnsPrefix": strings.Join(parts, ".")}, nil
}

func getAuthorizationToken(ctx context.Context, c *clients, args object) (object, error) {
	in := object{}
	if id := args.string("registryId"); id != "" {
		in["registryIds"] = []string{id}
	}
	answer, err := c.do(ctx, "ecr:GetAuthorizationToken", in)
	if err != nil || len(answer.list("authorizationData")) == 0 {
		return nil, errorOr(err, errors.New("ECR returned no token"))
	}
	token := object(answer.list("authorizationData")[0].(map[string]any))
	pair, err := base64.StdEncoding.DecodeString(token.string("authorizationToken"))
	user, password, _ := strings.Cut(string(pair), ":")
	return token.with(object{"id": c.region, "userName": user, "password": password}), err
}
