package provider

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/blang/semver"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil/rpcerror"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc/codes"
)

// version is the one of the pulumi-aws SDK whose resources the stand-in knows.
const version = "6.83.2"

// kinds are the resource types by token.
var kinds = map[string]*kind{
	"aws:iam/role:Role":                                      role,
	"aws:iam/rolePolicy:RolePolicy":                          rolePolicy,
	"aws:iam/rolePolicyAttachment:RolePolicyAttachment":      rolePolicyAttachment,
	"aws:cloudwatch/logGroup:LogGroup":                       logGroup,
	"aws:lambda/function:Function":                           function,
	"aws:lambda/alias:Alias":                                 alias,
	"aws:lambda/invocation:Invocation":                       invocation,
	"aws:lambda/layerVersion:LayerVersion":                   layerVersion,
	"aws:lambda/functionUrl:FunctionUrl":                     functionURL,
	"aws:s3/bucketV2:BucketV2":                               bucket,
	"aws:s3/bucketObjectv2:BucketObjectv2":                   bucketObject,
	"aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": publicAccessBlock,
	"aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2": bucketEncryption,
	"aws:s3/bucketLifecycleConfigurationV2:BucketLifecycleConfigurationV2":                       bucketLifecycle,
	"aws:ecr/repository:Repository": repository,
}

// awsProvider is one configured provider of package aws.
type awsProvider struct {
	plugin.UnimplementedProvider
	log     func(string)
	dir     string
	fault   func(op, token string) error
	done    func(op, token string)
	clients *clients
}

// Option changes how the stand-in AWS provider is served.
type Option func(*awsProvider)

// WithDir sets the folder that relative paths of archives and assets start from, the engine's working folder;
// without it, this process's is.
func WithDir(dir string) Option { return func(p *awsProvider) { p.dir = dir } }

// WithFault has fault called before each create, update and delete (op) of a resource; its error fails the operation.
func WithFault(fault func(op, token string) error) Option {
	return func(p *awsProvider) { p.fault = fault }
}

// WithDone has done called after each operation that succeeded, before the engine is told.
func WithDone(done func(op, token string)) Option { return func(p *awsProvider) { p.done = done } }

// ServeAWS serves the stand-in for package aws until ctx is done or the server is closed. It tells log what it does,
// a line for each operation. The AWS SDK's environment variables are those of this process.
func ServeAWS(ctx context.Context, log func(string), options ...Option) (*Server, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("finding the working folder: %w", err)
	}
	return Serve(ctx, func() plugin.Provider {
		p := &awsProvider{log: log, dir: dir, fault: func(string, string) error { return nil }, done: func(string, string) {}}
		for _, o := range options {
			o(p)
		}
		return p
	})
}

func (p *awsProvider) Handshake(context.Context, plugin.ProviderHandshakeRequest) (*plugin.ProviderHandshakeResponse, error) {
	return &plugin.ProviderHandshakeResponse{AcceptSecrets: true, SupportsAutonamingConfiguration: true}, nil
}

// Attach is the engine's word to a provider that it did not start; there is nothing to say back to it.
func (p *awsProvider) Attach(string) error { return nil }

func (p *awsProvider) Close() error { return nil }

func (p *awsProvider) SignalCancellation(context.Context) error { return nil }

func (p *awsProvider) GetPluginInfo(context.Context) (plugin.PluginInfo, error) {
	v := semver.MustParse(version)
	return plugin.PluginInfo{Version: &v}, nil
}

func (p *awsProvider) CheckConfig(_ context.Context, r plugin.CheckConfigRequest) (plugin.CheckConfigResponse, error) {
	failures := settingsSchema.failures("", r.News)
	if !r.News.ContainsUnknowns() {
		if _, err := readSettings(r.News); err != nil {
			failures = append(failures, plugin.CheckFailure{Reason: err.Error()})
		}
	}
	return plugin.CheckConfigResponse{Properties: r.News, Failures: failures}, nil
}

// DiffConfig never replaces: another region or account shows at the resources.
func (p *awsProvider) DiffConfig(_ context.Context, r plugin.DiffConfigRequest) (plugin.DiffConfigResponse, error) {
	if diff := r.OldInputs.Diff(r.NewInputs); diff != nil {
		return plugin.DiffResult{Changes: plugin.DiffSome, DetailedDiff: plugin.NewDetailedDiffFromObjectDiff(diff, true)}, nil
	}
	return plugin.DiffResult{Changes: plugin.DiffNone}, nil
}

func (p *awsProvider) Configure(ctx context.Context, r plugin.ConfigureRequest) (plugin.ConfigureResponse, error) {
	s, err := readSettings(r.Inputs)
	if err != nil {
		return plugin.ConfigureResponse{}, err
	}
	p.clients, err = s.connect(ctx)
	return plugin.ConfigureResponse{}, err
}

// kind returns what the stand-in knows of a type.
func (p *awsProvider) kind(t tokens.Type) (*kind, error) {
	if k, ok := kinds[string(t)]; ok {
		return k, nil
	}
	return nil, fmt.Errorf("the stand-in AWS provider does not know resource type %q; it knows %s (install the real provider "+
		"plugin, aws %s, to use more)", t, strings.Join(slices.Sorted(maps.Keys(kinds)), ", "), version)
}

// begin is called before each operation that changes something.
func (p *awsProvider) begin(op string, t tokens.Type, urn resource.URN) (*kind, error) {
	k, err := p.kind(t)
	if err == nil {
		p.log(fmt.Sprintf("%s %s %s", op, t, urn.Name()))
		err = p.fault(op, string(t))
	}
	return k, err
}

func (p *awsProvider) Check(_ context.Context, r plugin.CheckRequest) (plugin.CheckResponse, error) {
	k, err := p.kind(r.Type)
	if err != nil {
		return plugin.CheckResponse{}, err
	}
	inputs := r.News.Copy()
	err = k.complete(r, inputs)
	return plugin.CheckResponse{Properties: inputs, Failures: k.inputs.failures("", inputs)}, err
}

func (p *awsProvider) Diff(_ context.Context, r plugin.DiffRequest) (plugin.DiffResponse, error) {
	k, err := p.kind(r.Type)
	if err != nil {
		return plugin.DiffResult{}, err
	}
	paths, changed := k.difference(r.OldInputs, r.NewInputs)
	if !changed["tags"] && p.tagsMoved(k, r.OldOutputs, r.NewInputs) {
		paths["tagsAll"] = plugin.PropertyDiff{Kind: plugin.DiffUpdate}
	}
	result := plugin.DiffResult{Changes: plugin.DiffNone, DetailedDiff: paths}
	if len(paths) > 0 {
		result.Changes = plugin.DiffSome
		result.DeleteBeforeReplace = result.Replace() && k.nameIsFixed(r.OldInputs, r.NewInputs)
	}
	return result, nil
}

// tagsMoved tells whether the provider's default tags make for other tags than the resource has.
func (p *awsProvider) tagsMoved(k *kind, outputs, inputs resource.PropertyMap) bool {
	if k.tagged == nil || p.clients == nil || inputs["tags"].ContainsUnknowns() {
		return false
	}
	c := &call{clients: p.clients, in: plain(inputs)}
	return !maps.Equal(plain(outputs).object("tagsAll"), c.tags())
}

func (p *awsProvider) Create(ctx context.Context, r plugin.CreateRequest) (plugin.CreateResponse, error) {
	c := p.call(ctx, "", r.Properties, nil)
	if r.Preview {
		k, err := p.kind(r.Type)
		if err != nil {
			return plugin.CreateResponse{}, err
		}
		return plugin.CreateResponse{Properties: k.preview(c, nil, r.Properties)}, nil
	}
	k, err := p.begin("create", r.Type, r.URN)
	if err != nil {
		return plugin.CreateResponse{}, err
	}
	var state object
	if err = k.create(c); err == nil {
		state, err = k.read(c)
	}
	if err != nil {
		err = fmt.Errorf("creating %s %q: %w", r.Type, r.Name, err)
		if c.id != "" {
			err = partial(c.id, r.Properties, err)
		}
		return plugin.CreateResponse{}, err
	}
	p.done("create", string(r.Type))
	return plugin.CreateResponse{ID: resource.ID(c.id), Properties: k.state(c, r.Properties, state)}, nil
}

// partial tells the engine of a resource that exists but is not complete, so that it keeps it in its state.
func partial(id string, inputs resource.PropertyMap, cause error) error {
	properties, err := plugin.MarshalProperties(inputs, plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true})
	if err != nil {
		return errors.Join(cause, err)
	}
	return rpcerror.WithDetails(rpcerror.New(codes.Unknown, cause.Error()), &pulumirpc.ErrorResourceInitFailed{
		Id: id, Properties: properties, Inputs: properties, Reasons: []string{cause.Error()},
	})
}

func (p *awsProvider) Read(ctx context.Context, r plugin.ReadRequest) (plugin.ReadResponse, error) {
	k, err := p.kind(r.Type)
	if err != nil {
		return plugin.ReadResponse{}, err
	}
	c := p.call(ctx, r.ID, r.Inputs, r.State)
	state, err := k.read(c)
	if gone(err) {
		return plugin.ReadResponse{}, nil
	}
	if err != nil {
		return plugin.ReadResponse{}, fmt.Errorf("reading %s %q: %w", r.Type, r.ID, err)
	}
	result := plugin.ReadResult{ID: resource.ID(c.id), Inputs: k.refreshed(c, r.Inputs, state), Outputs: k.state(c, r.Inputs, state)}
	return plugin.ReadResponse{ReadResult: result}, nil
}

func (p *awsProvider) Update(ctx context.Context, r plugin.UpdateRequest) (plugin.UpdateResponse, error) {
	k, err := p.kind(r.Type)
	if err != nil {
		return plugin.UpdateResponse{}, err
	}
	c := p.call(ctx, r.ID, r.NewInputs, r.OldOutputs)
	c.old = plain(r.OldInputs)
	_, c.changed = k.difference(r.OldInputs, r.NewInputs)
	if p.tagsMoved(k, r.OldOutputs, r.NewInputs) {
		c.changed["tags"] = true
	}
	if r.Preview {
		return plugin.UpdateResponse{Properties: k.preview(c, r.OldOutputs, r.NewInputs)}, nil
	}
	if _, err := p.begin("update", r.Type, r.URN); err != nil {
		return plugin.UpdateResponse{}, err
	}
	if err = c.retag(k.tagged); err == nil && k.update != nil {
		err = k.update(c)
	}
	var state object
	if err == nil {
		state, err = k.read(c)
	}
	if err != nil {
		return plugin.UpdateResponse{}, fmt.Errorf("updating %s %q: %w", r.Type, r.ID, err)
	}
	p.done("update", string(r.Type))
	return plugin.UpdateResponse{Properties: k.state(c, r.NewInputs, state)}, nil
}

func (p *awsProvider) Delete(ctx context.Context, r plugin.DeleteRequest) (plugin.DeleteResponse, error) {
	k, err := p.begin("delete", r.Type, r.URN)
	if err != nil {
		return plugin.DeleteResponse{}, err
	}
	if err := k.delete(p.call(ctx, r.ID, r.Inputs, r.Outputs)); err != nil && !gone(err) {
		return plugin.DeleteResponse{}, fmt.Errorf("deleting %s %q: %w", r.Type, r.ID, err)
	}
	p.done("delete", string(r.Type))
	return plugin.DeleteResponse{}, nil
}
