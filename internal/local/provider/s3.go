package provider

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/asset"
)

var bucket = &kind{
	inputs: schema{
		"bucket":       {autoName: 63, replace: true},
		"forceDestroy": {local: true, def: false},
		"tags":         {},
	},
	outputs: []string{"arn", "bucketDomainName", "bucketRegionalDomainName", "region"},
	tagged:  &tagging{},
	create: func(c *call) error {
		in := object{"bucket": c.in["bucket"]}
		if c.region != "us-east-1" { // which S3 takes only as no constraint
			in["createBucketConfiguration"] = object{"locationConstraint": c.region}
		}
		if err := c.make(c.in.string("bucket"), "s3:CreateBucket", in); err != nil {
			return err
		}
		return tagBucket(c)
	},
	read: func(c *call) (object, error) {
		if err := c.try("s3:HeadBucket", object{"bucket": c.id}); err != nil {
			return nil, err
		}
		tags, err := c.do("s3:GetBucketTagging", object{"bucket": c.id})
		if err != nil && !hasCode(err, "NoSuchTagSet") {
			return nil, err
		}
		partition, suffix := c.partition()
		return object{
			"arn": "arn:" + partition + ":s3:::" + c.id, "bucket": c.id, "region": c.region, "tags": tagMap(tags.list("tagSet")),
			"bucketDomainName": c.id + ".s3." + suffix, "bucketRegionalDomainName": c.id + ".s3." + c.region + "." + suffix,
		}, nil
	},
	update: tagBucket,
	delete: func(c *call) error {
		if c.state.bool("forceDestroy") { // S3 refuses to delete a bucket that has objects
			if err := c.deleteVersions(c.id, ""); err != nil {
				return err
			}
		}
		return c.try("s3:DeleteBucket", object{"bucket": c.id})
	},
}

func tagBucket(c *call) error {
	if tags := c.tags(); len(tags) > 0 {
		return c.try("s3:PutBucketTagging", object{"bucket": c.id, "tagging": object{"tagSet": tagList(tags)}})
	}
	return c.try("s3:DeleteBucketTagging", object{"bucket": c.id})
}

// deleteVersions deletes every version of an object, of all objects where key is empty.
func (c *call) deleteVersions(bucket, key string) error {
	page := object{"isTruncated": true}
	for page.bool("isTruncated") {
		var err error
		page, err = c.do("s3:ListObjectVersions", object{"bucket": bucket, "prefix": key,
			"keyMarker": page["nextKeyMarker"], "versionIdMarker": page["nextVersionIdMarker"]})
		if err != nil {
			return err
		}
		for _, v := range append(page.list("versions"), page.list("deleteMarkers")...) {
			version := object(v.(map[string]any)).only("key", "versionId")
			if key == "" || version["key"] == key {
				if err := c.try("s3:DeleteObject", object{"bucket": bucket}, version); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// bucketObject is an object; its ID is its key.
var bucketObject = &kind{
	inputs: schema{
		"bucket":               {required: true, replace: true, local: true},
		"content":              {local: true},
		"contentBase64":        {local: true},
		"contentType":          {},
		"forceDestroy":         {local: true, def: false},
		"key":                  {autoName: 1024, replace: true},
		"metadata":             {},
		"serverSideEncryption": {sticky: true},
		"source":               {local: true},
		"sourceHash":           {local: true},
		"tags":                 {},
	},
	outputs: []string{"arn", "etag", "versionId"},
	tagged:  &tagging{},
	moves:   func(*call) []string { return []string{"etag", "versionId"} },
	create:  putObject,
	read: func(c *call) (object, error) {
		name := object{"bucket": c.in["bucket"], "key": c.id}
		head, err := c.do("s3:HeadObject", name)
		if err != nil {
			return nil, err
		}
		tags, err := c.do("s3:GetObjectTagging", name)
		partition, _ := c.partition()
		return head.with(name).with(object{
			"arn":  fmt.Sprintf("arn:%s:s3:::%s/%s", partition, name["bucket"], c.id),
			"etag": strings.Trim(head.string("eTag"), `"`), "tags": tagMap(tags.list("tagSet")),
		}), err
	},
	update: putObject,
	delete: func(c *call) error { return c.deleteVersions(c.state.string("bucket"), c.id) },
}

func putObject(c *call) error {
	in, tags := &s3.PutObjectInput{}, url.Values{}
	for k, v := range c.tags() {
		tags.Set(k, fmt.Sprint(v))
	}
	settings := c.in.only("bucket", "key", "contentType", "metadata", "serverSideEncryption")
	if err := fill(in, settings, object{"tagging": tags.Encode()}); err != nil {
		return err
	}
	body, err := c.body()
	if err != nil {
		return err
	}
	in.Body = bytes.NewReader(body)
	if _, err := c.s3.PutObject(c, in); err != nil {
		return err
	}
	c.id = c.in.string("key")
	return nil
}

// body returns the content of the object, whichever way it is given.
func (c *call) body() ([]byte, error) {
	if text := c.in.string("contentBase64"); text != "" {
		return base64.StdEncoding.DecodeString(text)
	}
	a, ok := c.in["source"].(*asset.Asset)
	switch {
	case !ok && c.in["source"] != nil:
		return c.zip("source")
	case !ok:
		return []byte(c.in.string("content")), nil
	}
	blob, err := a.ReadWithWD(c.dir)
	if err != nil {
		return nil, fmt.Errorf("reading asset %q: %w", a.Path, err)
	}
	defer blob.Close() //nolint:errcheck // only read from
	return io.ReadAll(blob)
}

// setting is a part of a bucket's configuration as a resource, whose ID is the bucket's name. It is put as a whole;
// wrapper is the parameter and the answer that holds it.
func setting(operation, wrapper string, inputs schema) *kind {
	inputs["bucket"] = field{required: true, replace: true}
	put := func(c *call) error {
		value := c.in.with(nil)
		delete(value, "bucket")
		return c.make(c.in.string("bucket"), "s3:Put"+operation, c.in, object{wrapper: value})
	}
	return &kind{
		inputs: inputs, create: put, update: put,
		read: func(c *call) (object, error) {
			answer, err := c.do("s3:Get"+operation, object{"bucket": c.id})
			return answer.with(answer.object(wrapper)).with(object{"bucket": c.id}), err
		},
		delete: func(c *call) error {
			return c.try("s3:Delete"+strings.TrimSuffix(operation, "Configuration"), object{"bucket": c.id})
		},
	}
}

var publicAccessBlock = setting("PublicAccessBlock", "publicAccessBlockConfiguration", schema{
	"blockPublicAcls": {def: false}, "blockPublicPolicy": {def: false},
	"ignorePublicAcls": {def: false}, "restrictPublicBuckets": {def: false},
})

var bucketEncryption = setting("BucketEncryption", "serverSideEncryptionConfiguration", schema{
	"rules": {required: true, fields: schema{
		"applyServerSideEncryptionByDefault": {fields: properties("kmsMasterKeyId", "sseAlgorithm")}, "bucketKeyEnabled": {},
	}},
})

var bucketLifecycle = setting("BucketLifecycleConfiguration", "lifecycleConfiguration", schema{
	"rules": {required: true, fields: schema{
		"abortIncompleteMultipartUpload": {fields: properties("daysAfterInitiation")},
		"expiration":                     {fields: properties("days", "expiredObjectDeleteMarker")},
		"filter":                         {required: true, fields: properties("prefix")},
		"id":                             {required: true},
		"noncurrentVersionExpiration":    {fields: properties("newerNoncurrentVersions", "noncurrentDays")},
		"status":                         {required: true},
	}},
})
