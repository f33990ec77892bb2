package provider

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	sdkecr "github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ecr"
	sdkiam "github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	sdklambda "github.com/pulumi/pulumi-aws/sdk/v6/go/aws/lambda"
	sdks3 "github.com/pulumi/pulumi-aws/sdk/v6/go/aws/s3"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil/rpcerror"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"
)

// dial returns a client of a stand-in, on a connection of its own, that is configured for the region of the tests.
func dial(t *testing.T, s *Server, configuration resource.PropertyMap) pulumirpc.ResourceProviderClient {
	t.Helper()
	connection, err := grpc.NewClient("127.0.0.1:"+strconv.Itoa(s.Port()), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	client := pulumirpc.NewResourceProviderClient(connection)
	if _, err := client.Handshake(t.Context(), &pulumirpc.ProviderHandshakeRequest{}); err != nil {
		t.Fatal(err)
	}
	_, err = client.Configure(t.Context(), &pulumirpc.ConfigureRequest{AcceptSecrets: true, Args: wire(t, configuration)})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func serve(t *testing.T, options ...Option) pulumirpc.ResourceProviderClient {
	t.Helper()
	server, err := ServeAWS(t.Context(), func(string) {}, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return dial(t, server, resource.PropertyMap{"region": resource.NewProperty(region)})
}

func wire(t *testing.T, props resource.PropertyMap) *structpb.Struct {
	t.Helper()
	s, err := plugin.MarshalProperties(props, plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func props(m map[string]any) resource.PropertyMap { return resource.NewPropertyMapFromMap(m) }

func urn(token string) string { return "urn:pulumi:test::provider::" + token + "::thing" }

const (
	roleToken  = "aws:iam/role:Role"
	groupToken = "aws:cloudwatch/logGroup:LogGroup"
)

func TestUnknownTypesAndPropertiesAreRefusedWithWhatIsKnown(t *testing.T) {
	client := serve(t)
	check := func(token string, in map[string]any) (string, error) {
		response, err := client.Check(t.Context(), &pulumirpc.CheckRequest{Urn: urn(token), News: wire(t, props(in)), RandomSeed: []byte("seed")})
		var reasons []string
		for _, f := range response.GetFailures() {
			reasons = append(reasons, f.GetProperty()+": "+f.GetReason())
		}
		return strings.Join(reasons, "\n"), err
	}
	if _, err := check("aws:sqs/queue:Queue", nil); err == nil || !strings.Contains(err.Error(), `"aws:sqs/queue:Queue"`) || !strings.Contains(err.Error(), roleToken) {
		t.Errorf("an unknown type: %v", err)
	}
	for name, c := range map[string]struct {
		in   map[string]any
		want []string
	}{
		"top level": {map[string]any{"assumeRolePolicy": assume, "inlinePolicies": []any{}}, []string{"inlinePolicies: ", "assumeRolePolicy, description"}},
		"missing":   {map[string]any{}, []string{`assumeRolePolicy: missing required property`}},
	} {
		got, err := check(roleToken, c.in)
		for _, want := range c.want {
			if err != nil || !strings.Contains(got, want) {
				t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
			}
		}
	}
	nested := map[string]any{"role": "r", "environment": map[string]any{"variable": map[string]any{}}}
	if got, err := check("aws:lambda/function:Function", nested); err != nil || !strings.HasPrefix(got, "environment.variable: ") {
		t.Errorf("nested: %q, %v", got, err)
	}
	_, err := client.Invoke(t.Context(), &pulumirpc.InvokeRequest{Tok: "aws:ec2/getAmi:getAmi"})
	if err == nil || !strings.Contains(err.Error(), "getCallerIdentity") {
		t.Errorf("an unknown function: %v", err)
	}
}

func TestCheckKeepsAMadeNameAndDropsItForAGivenOne(t *testing.T) {
	client := serve(t)
	check := func(olds resource.PropertyMap, in map[string]any, seed string) resource.PropertyMap {
		t.Helper()
		response, err := client.Check(t.Context(), &pulumirpc.CheckRequest{
			Urn: urn(groupToken), Olds: wire(t, olds), News: wire(t, props(in)), RandomSeed: []byte(seed)})
		if err != nil || len(response.GetFailures()) > 0 {
			t.Fatal(err, response.GetFailures())
		}
		inputs, err := plugin.UnmarshalProperties(response.GetInputs(), plugin.MarshalOptions{KeepUnknowns: true})
		if err != nil {
			t.Fatal(err)
		}
		return inputs
	}
	first := check(nil, nil, "one")
	name := first["name"].StringValue()
	if !regexp.MustCompile(`^thing-[0-9a-f]{7}$`).MatchString(name) {
		t.Errorf("name %q", name)
	}
	if got := check(first, nil, "two")["name"].StringValue(); got != name {
		t.Errorf("the next check makes %q of %q", got, name)
	}
	given := check(first, map[string]any{"name": "given"}, "two")
	if got := check(given, nil, "two")["name"].StringValue(); got == "given" {
		t.Error("the name that was given once is kept though it is not given any more")
	}
}

func TestAResourceWhoseCreationFailsHalfwayIsKept(t *testing.T) {
	startMoto(t)
	client := serve(t)
	const token = "aws:s3/bucketV2:BucketV2"
	in := props(map[string]any{"bucket": "half", "tags": map[string]any{"aws:reserved": "refused"}})
	_, err := client.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn(token), Properties: wire(t, in)})
	detail := &pulumirpc.ErrorResourceInitFailed{}
	for _, d := range rpcerror.Convert(err).Details() {
		if failed, ok := d.(*pulumirpc.ErrorResourceInitFailed); ok {
			detail = failed
		}
	}
	if detail.GetId() != "half" || len(detail.GetReasons()) != 1 || detail.GetProperties().GetFields()["bucket"].GetStringValue() != "half" {
		t.Fatalf("got %v (%v), want the bucket's ID and properties", detail, err)
	}
	for range 2 { // the second time it is gone already
		if _, err := client.Delete(t.Context(), &pulumirpc.DeleteRequest{Id: "half", Urn: urn(token), Properties: wire(t, in)}); err != nil {
			t.Fatal(err)
		}
	}
	read, err := client.Read(t.Context(), &pulumirpc.ReadRequest{Id: "half", Urn: urn(token), Properties: wire(t, in), Inputs: wire(t, in)})
	if err != nil || read.GetId() != "" {
		t.Errorf("reading what is gone: ID %q, %v", read.GetId(), err)
	}
}

func TestAFaultFailsTheOperationBeforeAnyCall(t *testing.T) {
	aws := startMoto(t)
	var seen []string
	client := serve(t, WithFault(func(op, token string) error {
		seen = append(seen, op+" "+token)
		return errors.New("injected")
	}))
	in := wire(t, props(map[string]any{"name": "g", "retentionInDays": 7}))
	_, err := client.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn(groupToken), Properties: in})
	if err == nil || !strings.Contains(err.Error(), "injected") {
		t.Errorf("create: %v", err)
	}
	_, err = client.Update(t.Context(), &pulumirpc.UpdateRequest{Id: "g", Urn: urn(groupToken), Olds: in, OldInputs: in, News: in})
	if err == nil || !strings.Contains(err.Error(), "injected") {
		t.Errorf("update: %v", err)
	}
	if want := []string{"create " + groupToken, "update " + groupToken}; !slices.Equal(seen, want) {
		t.Errorf("faults asked for %v, want %v", seen, want)
	}
	if left := leftovers(t, aws); len(left) > 0 {
		t.Errorf("the failed operations made %v", left)
	}
}

func TestDiffSaysWhatAnEngineHasToKnow(t *testing.T) {
	client := serve(t)
	archives := map[string]map[string]any{}
	for _, name := range []string{"a", "b"} { // the same content in two places, and another
		path := filepath.Join(t.TempDir(), "f.zip")
		writeZip(t, path, "one")
		a, err := resource.NewPathArchive(path)
		if err != nil {
			t.Fatal(err)
		}
		archives[name] = map[string]any{"role": "r", "code": a}
	}
	function := "aws:lambda/function:Function"
	cases := map[string]struct {
		token     string
		old, new  map[string]any
		diffs     string
		replaces  bool
		deleteOld bool
	}{
		"another path of the same archive":     {token: function, old: archives["a"], new: archives["b"]},
		"another way to write a document":      {token: roleToken, old: map[string]any{"assumeRolePolicy": `{"a": 1}`}, new: map[string]any{"assumeRolePolicy": `{"a":1}`}},
		"nothing, and an empty object":         {token: function, old: map[string]any{"vpcConfig": map[string]any{}}, new: map[string]any{}},
		"another order of a set":               {token: function, old: map[string]any{"vpcConfig": map[string]any{"subnetIds": []any{"a", "b"}}}, new: map[string]any{"vpcConfig": map[string]any{"subnetIds": []any{"b", "a"}}}},
		"another order of a list":              {token: function, old: map[string]any{"layers": []any{"a", "b"}}, new: map[string]any{"layers": []any{"b", "a"}}, diffs: "layers[0] layers[1]"},
		"a number":                             {token: function, old: map[string]any{"timeout": 3}, new: map[string]any{"timeout": 4}, diffs: "timeout"},
		"a nested property":                    {token: function, old: map[string]any{"environment": map[string]any{"variables": map[string]any{"A": "1"}}}, new: map[string]any{"environment": map[string]any{"variables": map[string]any{"A": "2"}}}, diffs: "environment.variables.A"},
		"another name":                         {token: groupToken, old: map[string]any{"name": "a"}, new: map[string]any{"name": "b"}, diffs: "name", replaces: true},
		"another path under a fixed name":      {token: roleToken, old: map[string]any{"name": "a", "path": "/"}, new: map[string]any{"name": "a", "path": "/x/"}, diffs: "path", replaces: true, deleteOld: true},
		"a value that is not known yet":        {token: function, old: map[string]any{"role": "r"}, new: map[string]any{"role": resource.MakeComputed(resource.NewProperty(""))}, diffs: "role"},
		"an input of a create-only invocation": {token: "aws:lambda/invocation:Invocation", old: map[string]any{"input": "{}", "lifecycleScope": "CREATE_ONLY"}, new: map[string]any{"input": "[]", "lifecycleScope": "CREATE_ONLY"}, diffs: "input", replaces: true},
		"an input of a CRUD invocation":        {token: "aws:lambda/invocation:Invocation", old: map[string]any{"input": "{}", "lifecycleScope": "CRUD"}, new: map[string]any{"input": "[]", "lifecycleScope": "CRUD"}, diffs: "input"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			olds := wire(t, props(c.old))
			diff, err := client.Diff(t.Context(), &pulumirpc.DiffRequest{Id: "id", Urn: urn(c.token), Olds: olds, OldInputs: olds, News: wire(t, props(c.new))})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(slices.Sorted(slices.Values(diff.GetDiffs())), " "); got != c.diffs || len(diff.GetReplaces()) > 0 != c.replaces || diff.GetDeleteBeforeReplace() != c.deleteOld {
				t.Errorf("got %v", diff)
			}
		})
	}
}

func TestConnectionsHaveProvidersOfTheirOwn(t *testing.T) {
	server, err := ServeAWS(t.Context(), func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close() //nolint:errcheck // checked in the other tests
	regions := []string{"eu-west-1", "us-east-1"}
	var clients []pulumirpc.ResourceProviderClient
	for _, r := range regions {
		clients = append(clients, dial(t, server, resource.PropertyMap{"region": resource.NewProperty(r)}))
	}
	for i, want := range regions {
		out, err := clients[i].Invoke(context.Background(), &pulumirpc.InvokeRequest{Tok: "aws:index/getRegion:getRegion"})
		if got := out.GetReturn().GetFields()["name"].GetStringValue(); err != nil || got != want {
			t.Errorf("connection %d has region %q, %v, want %q", i, got, err, want)
		}
	}
}

func TestEveryPropertyIsOneOfTheSDK(t *testing.T) {
	for token, sdk := range map[string][2]any{
		roleToken:                       {sdkiam.RoleArgs{}, sdkiam.Role{}},
		"aws:iam/rolePolicy:RolePolicy": {sdkiam.RolePolicyArgs{}, sdkiam.RolePolicy{}},
		"aws:iam/rolePolicyAttachment:RolePolicyAttachment": {sdkiam.RolePolicyAttachmentArgs{}, sdkiam.RolePolicyAttachment{}},
		groupToken:                                               {cloudwatch.LogGroupArgs{}, cloudwatch.LogGroup{}},
		"aws:lambda/function:Function":                           {sdklambda.FunctionArgs{}, sdklambda.Function{}},
		"aws:lambda/alias:Alias":                                 {sdklambda.AliasArgs{}, sdklambda.Alias{}},
		"aws:lambda/invocation:Invocation":                       {sdklambda.InvocationArgs{}, sdklambda.Invocation{}},
		"aws:lambda/layerVersion:LayerVersion":                   {sdklambda.LayerVersionArgs{}, sdklambda.LayerVersion{}},
		"aws:lambda/functionUrl:FunctionUrl":                     {sdklambda.FunctionUrlArgs{}, sdklambda.FunctionUrl{}},
		"aws:s3/bucketV2:BucketV2":                               {sdks3.BucketV2Args{}, sdks3.BucketV2{}},
		"aws:s3/bucketObjectv2:BucketObjectv2":                   {sdks3.BucketObjectv2Args{}, sdks3.BucketObjectv2{}},
		"aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": {sdks3.BucketPublicAccessBlockArgs{}, sdks3.BucketPublicAccessBlock{}},
		"aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2": {sdks3.BucketServerSideEncryptionConfigurationV2Args{}, sdks3.BucketServerSideEncryptionConfigurationV2{}},
		"aws:s3/bucketLifecycleConfigurationV2:BucketLifecycleConfigurationV2":                       {sdks3.BucketLifecycleConfigurationV2Args{}, sdks3.BucketLifecycleConfigurationV2{}},
		"aws:ecr/repository:Repository": {sdkecr.RepositoryArgs{}, sdkecr.Repository{}},
	} {
		k := kinds[token]
		args, outputs := reflect.TypeOf(sdk[0]), reflect.TypeOf(sdk[1])
		for name := range k.inputs {
			if _, ok := args.FieldByName(strings.ToUpper(name[:1]) + name[1:]); !ok {
				t.Errorf("%s has no input %q", token, name)
			}
		}
		for _, name := range k.outputs {
			if _, ok := outputs.FieldByName(strings.ToUpper(name[:1]) + name[1:]); !ok {
				t.Errorf("%s has no output %q", token, name)
			}
		}
	}
	if len(kinds) != 15 {
		t.Errorf("%d kinds, and 15 are looked at here", len(kinds))
	}
}

func TestEveryOperationIsOneOfTheService(t *testing.T) {
	c, err := (&settings{Region: region}).connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, f := range files {
		source, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`"(iam|lambda|logs|s3|ecr|sts):([A-Z]\w{6,})"`).FindAllStringSubmatch(string(source), -1) {
			found++
			if !reflect.ValueOf(c.services[m[1]]).MethodByName(m[2]).IsValid() {
				t.Errorf("%s: %s has no operation %s", f, m[1], m[2])
			}
		}
	}
	if found < 40 {
		t.Errorf("only %d operations were found in the source", found)
	}
}
