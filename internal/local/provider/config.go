package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// settings is the provider's configuration, by the names of the real provider.
type settings struct {
	Region, AccessKey, SecretKey, Token, Profile string
	Endpoints                                    []map[string]string
	S3UsePathStyle                               bool
	AllowedAccountIDs                            []string
	DefaultTags                                  struct{ Tags map[string]any }
}

// texts are the settings that are strings, and settingsSchema all that the stand-in takes. The skip settings need
// nothing: it makes none of the checks they skip.
var (
	texts          = []string{"version", "region", "accessKey", "secretKey", "token", "profile"}
	settingsSchema = properties(append([]string{"endpoints", "s3UsePathStyle", "allowedAccountIds", "defaultTags",
		"skipCredentialsValidation", "skipMetadataApiCheck", "skipRegionValidation", "skipRequestingAccountId"}, texts...)...)
)

// readSettings reads the configuration; what is not text may be JSON in a string.
func readSettings(props resource.PropertyMap) (*settings, error) {
	raw := plain(props)
	for k, v := range raw {
		if text, ok := v.(string); ok && !slices.Contains(texts, k) {
			var value any
			if err := json.Unmarshal([]byte(text), &value); err != nil {
				return nil, fmt.Errorf("reading aws:%s %q: %w", k, text, err)
			}
			raw[k] = value
		}
	}
	s := &settings{}
	return s, fill(s, raw)
}

// clients are the AWS services, by the names that operations have in this package.
type clients struct {
	region      string
	defaultTags map[string]any
	s3          *s3.Client
	services    map[string]any
}

// connect makes the clients. What is not configured comes from where the AWS SDK takes it: the environment
// (AWS_ENDPOINT_URL, AWS_REGION, keys) and the shared files.
func (s *settings) connect(ctx context.Context) (*clients, error) {
	options := []func(*config.LoadOptions) error{config.WithRegion(s.Region), config.WithSharedConfigProfile(s.Profile)}
	if s.AccessKey != "" {
		keys := credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, s.Token)
		options = append(options, config.WithCredentialsProvider(keys))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("loading the AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		return nil, errors.New("no AWS region is set: run `pulumi config set aws:region REGION` or set AWS_REGION")
	}
	c := &clients{region: cfg.Region, defaultTags: s.DefaultTags.Tags, s3: s3.NewFromConfig(cfg, func(o *s3.Options) {
		s.endpoint(&o.BaseEndpoint, "s3", "s3api")
		o.UsePathStyle = s.S3UsePathStyle
	})}
	c.services = map[string]any{
		"s3":     c.s3,
		"iam":    iam.NewFromConfig(cfg, func(o *iam.Options) { s.endpoint(&o.BaseEndpoint, "iam") }),
		"lambda": lambda.NewFromConfig(cfg, func(o *lambda.Options) { s.endpoint(&o.BaseEndpoint, "lambda") }),
		"logs": cloudwatchlogs.NewFromConfig(cfg, func(o *cloudwatchlogs.Options) {
			s.endpoint(&o.BaseEndpoint, "logs", "cloudwatchlogs", "cloudwatchlog")
		}),
		"sts": sts.NewFromConfig(cfg, func(o *sts.Options) { s.endpoint(&o.BaseEndpoint, "sts") }),
		"ecr": ecr.NewFromConfig(cfg, func(o *ecr.Options) { s.endpoint(&o.BaseEndpoint, "ecr") }),
	}
	return c, s.checkAccount(ctx, c)
}

// endpoint sets a service's address where one is configured under any of its names.
func (s *settings) endpoint(target **string, names ...string) {
	for _, endpoints := range s.Endpoints {
		for _, n := range names {
			if url := endpoints[n]; url != "" {
				*target = &url
			}
		}
	}
}

// checkAccount keeps the program out of accounts that it is not for.
func (s *settings) checkAccount(ctx context.Context, c *clients) error {
	if len(s.AllowedAccountIDs) == 0 {
		return nil
	}
	identity, err := c.do(ctx, "sts:GetCallerIdentity")
	if err == nil && !slices.Contains(s.AllowedAccountIDs, identity.string("account")) {
		err = fmt.Errorf("the credentials are for AWS account %s, aws:allowedAccountIds has %v", identity["account"], s.AllowedAccountIDs)
	}
	return err
}
