package provider

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/smithy-go"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/archive"
)

// call is one operation on one resource.
type call struct {
	context.Context
	*clients
	dir string
	id  string
	// in has the inputs; old those of before, of an update.
	in, old object
	// state has the outputs of before, of a read, an update or a delete.
	state   object
	changed map[string]bool
}

func (p *awsProvider) call(ctx context.Context, id resource.ID, in, state resource.PropertyMap) *call {
	return &call{Context: ctx, clients: p.clients, dir: p.dir, id: string(id), in: plain(in), state: plain(state)}
}

func (c *call) do(operation string, parameters ...object) (object, error) {
	return c.clients.do(c, operation, parameters...)
}

// try calls an operation whose answer says nothing.
func (c *call) try(operation string, parameters ...object) error {
	_, err := c.do(operation, parameters...)
	return err
}

// make calls an operation that makes the resource of this ID.
func (c *call) make(id, operation string, parameters ...object) error {
	err := c.try(operation, parameters...)
	if err == nil {
		c.id = id
	}
	return err
}

// anyChanged tells whether the update changes one of these inputs.
func (c *call) anyChanged(names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return c.changed[n] })
}

// cleared returns what to send for the properties that were there before and are not any more.
func (c *call) cleared(s schema) object {
	sent := object{}
	for name, f := range s {
		if c.changed[name] && empty(c.in[name]) && f.clear != nil {
			sent[name] = f.clear
		}
	}
	return sent
}

// zip returns the content of an archive, nil where there is none.
func (c *call) zip(property string) ([]byte, error) {
	a, ok := c.in[property].(*archive.Archive)
	if !ok {
		return nil, nil
	}
	var data bytes.Buffer
	if err := a.ArchiveWithWD(archive.ZIPArchive, &data, c.dir); err != nil {
		return nil, fmt.Errorf("reading archive %q: %w", a.Path, err)
	}
	return data.Bytes(), nil
}

// tagging is how a service tags what exists; without operations the kind's update does it.
type tagging struct {
	tag, untag string
	key        string // the parameter that names the resource: its ARN, else roleName
	list       bool   // of keys and values, not a map
}

// retag changes the tags where they changed.
func (c *call) retag(t *tagging) error {
	if t == nil || t.tag == "" || !c.changed["tags"] {
		return nil
	}
	target := object{t.key: c.state["arn"]}
	if t.key == "roleName" {
		target[t.key] = c.id
	}
	var gone []string
	all := c.tags()
	for k := range c.state.object("tagsAll") {
		if _, ok := all[k]; !ok {
			gone = append(gone, k)
		}
	}
	if len(gone) > 0 {
		if err := c.try(t.untag, target, object{"tagKeys": gone}); err != nil {
			return err
		}
	}
	switch {
	case len(all) == 0:
		return nil
	case t.list:
		return c.try(t.tag, target, object{"tags": tagList(all)})
	}
	return c.try(t.tag, target, object{"tags": all})
}

// tags returns the resource's tags over the provider's default ones.
func (c *call) tags() object { return object(c.defaultTags).with(c.in.object("tags")) }

// ownTags returns tags without those that only the provider's default tags give.
func (c *call) ownTags(all object) map[string]any {
	own, given := map[string]any{}, c.in.object("tags")
	for k, v := range all {
		if _, ok := given[k]; ok || c.defaultTags[k] != v {
			own[k] = v
		}
	}
	return own
}

// tagList and tagMap are tags as IAM, S3 and ECR write them and as Pulumi does.
func tagList(tags object) []any {
	list := []any{}
	for k, v := range tags {
		list = append(list, object{"key": k, "value": v})
	}
	return list
}

func tagMap(list []any) map[string]any {
	tags := map[string]any{}
	for _, t := range list {
		tag := object(t.(map[string]any))
		tags[tag.string("key")] = tag.string("value")
	}
	return tags
}

// partition returns the AWS partition of the region and its DNS suffix.
func (c *clients) partition() (name, suffix string) {
	switch {
	case strings.HasPrefix(c.region, "cn-"):
		return "aws-cn", "amazonaws.com.cn"
	case strings.HasPrefix(c.region, "us-gov-"):
		return "aws-us-gov", "amazonaws.com"
	}
	return "aws", "amazonaws.com"
}

// goneCodes are the services' words for a thing that is not there, and errGone is ours where the service has none.
var (
	goneCodes = []string{"NoSuchEntity", "ResourceNotFoundException", "NoSuchBucket", "NotFound", "RepositoryNotFoundException",
		"NoSuchPublicAccessBlockConfiguration", "NoSuchLifecycleConfiguration", "ServerSideEncryptionConfigurationNotFoundError"}
	errGone = &smithy.GenericAPIError{Code: "NotFound", Message: "it does not exist"}
)

func gone(err error) bool { return hasCode(err, goneCodes...) }

// hasCode tells whether err is a service's answer with one of these error codes.
func hasCode(err error, codes ...string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && slices.Contains(codes, api.ErrorCode())
}
