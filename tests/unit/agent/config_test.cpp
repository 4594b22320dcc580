#include "skerry/agent/config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace skerry::agent {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Environment test_environment() {
  return Environment{"/opt/skerry/bin", "gw-7", false};
}

std::string problem_of(std::string_view text) {
  Result<Config> config = parse_config(text, "skerryd.toml");
  if (!config) {
    EXPECT_EQ(config.error().code(), Error::Code::kConfigInvalid);
    return config.error().message();
  }
  Result<Settings> settings = finalize(*std::move(config), test_environment());
  if (!settings) {
    EXPECT_EQ(settings.error().code(), Error::Code::kConfigInvalid);
    return settings.error().message();
  }
  return "";
}

TEST(Config, EmptyFileGivesTheDefaults) {
  Result<Config> config = parse_config("", "skerryd.toml");
  ASSERT_TRUE(config) << config.error().to_string();
  Result<Settings> settings = finalize(*std::move(config), test_environment());
  ASSERT_TRUE(settings) << settings.error().to_string();
  EXPECT_EQ(settings->state_dir(), "/var/lib/skerry");
  EXPECT_EQ(settings->worker(), "/opt/skerry/bin/skerry-worker");
  EXPECT_EQ(settings->plugin_dir(), "/opt/skerry/lib/skerry/plugins");
  EXPECT_EQ(settings->device().name, "gw-7");
  EXPECT_EQ(settings->http_address().port, 11435);
  EXPECT_FALSE(settings->http().tcp);
}

TEST(Config, ReadsUpstreamServers) {
  Result<Config> config = parse_config(R"([upstream]
first_byte_timeout = "2m"
[[upstream.endpoint]]
name = "gpu-box"
url = "https://gpu-box:8000/v1"
server = "vllm"
tier = "site"
max_concurrent = 16
api_key_file = "/etc/skerry/key"
[[upstream.endpoint]]
name = "laptop"
url = "http://127.0.0.1:11434/v1"
server = "ollama"
tier = "local"
)",
                                       "x");
  ASSERT_TRUE(config) << config.error().to_string();
  ASSERT_EQ(config->upstream.endpoints.size(), 2U);
  EXPECT_EQ(config->upstream.first_byte_timeout, std::chrono::minutes{2});
  EXPECT_EQ(config->upstream.endpoints[0].server, "vllm");
  EXPECT_EQ(config->upstream.endpoints[0].max_concurrent, 16);
  EXPECT_EQ(config->upstream.endpoints[1].tier, "local");
}

TEST(Config, RefusesUpstreamServersThatSayTooLittle) {
  const std::string begin = "[[upstream.endpoint]]\nname = \"x\"\nurl = \"https://a/v1\"\n";
  EXPECT_THAT(problem_of(begin), HasSubstr("tier"));
  EXPECT_THAT(problem_of(begin + "tier = \"moon\""), HasSubstr("must be one of \"local\""));
  EXPECT_THAT(problem_of(begin + "tier = \"site\"\nserver = \"lmstudio\""),
              HasSubstr("must be one of \"vllm\""));
  EXPECT_THAT(problem_of(begin + "tier = \"site\"\napi_key = \"s3cret\""), HasSubstr("api_key"));
  EXPECT_THAT(problem_of(begin + "tier = \"site\"\nkey_file = \"/k\""),
              HasSubstr("certificate_file"));
  EXPECT_THAT(problem_of("[[upstream.endpoint]]\nname = \"x\"\nurl = \"a/v1\"\ntier = \"site\""),
              HasSubstr("url"));
  EXPECT_THAT(problem_of("[[upstream.endpoint]]\nurl = \"https://a/v1\"\ntier = \"site\""),
              HasSubstr("name"));
}

TEST(Config, FullExampleShowsEveryDefault) {
  SystemFileSystem fs;
  Result<Config> full = load_config(fs, SKERRY_FULL_CONFIG);
  ASSERT_TRUE(full) << full.error().to_string();
  Result<Config> empty = parse_config("", "empty");
  ASSERT_TRUE(empty);
  EXPECT_EQ(full->listen.max_message, empty->listen.max_message);
  EXPECT_EQ(full->http.max_body, empty->http.max_body);
  EXPECT_EQ(full->sync.backoff_longest, empty->sync.backoff_longest);
  EXPECT_EQ(full->activation.fetch_deadline, empty->activation.fetch_deadline);
  Result<Settings> a = finalize(*full, test_environment());
  Result<Settings> b = finalize(*empty, test_environment());
  ASSERT_TRUE(a) << a.error().to_string();
  ASSERT_TRUE(b);
  EXPECT_THAT(needs_restart(*a, *b), IsEmpty());
}

TEST(Config, UnknownKeyNamesItsLineAndTheNearestKey) {
  const std::string problem = problem_of("[listen]\napi_soket = \"/run/a.sock\"\n");
  EXPECT_THAT(problem, HasSubstr("skerryd.toml:2"));
  EXPECT_THAT(problem, HasSubstr("api_socket"));
}

TEST(Config, UnknownTableIsRefused) {
  EXPECT_THAT(problem_of("[telemtry]\ninterval = \"1s\"\n"), HasSubstr("telemetry"));
}

TEST(Config, WrongTypeNamesFileAndLine) {
  EXPECT_THAT(problem_of("\n[http]\ntcp = \"yes\"\n"), HasSubstr("skerryd.toml:3"));
}

TEST(Config, RefusesValuesOutOfRange) {
  EXPECT_THAT(problem_of("[runtime]\nmax_sequences = 0\n"), HasSubstr("skerryd.toml:2"));
  EXPECT_THAT(problem_of("[runtime]\nsandbox = \"maybe\"\n"), HasSubstr("\"strict\""));
  EXPECT_THAT(problem_of("state_dir = \"relative\"\n"), HasSubstr("absolute"));
  EXPECT_THAT(problem_of("[telemetry]\noutbox = \"1KiB\"\n"), HasSubstr("64KiB"));
  EXPECT_THAT(problem_of("[controller]\naddress = \"nowhere\"\n"), HasSubstr("host:port"));
}

TEST(Config, RefusesTcpBeyondLoopback) {
  EXPECT_THAT(problem_of("[http]\ntcp = true\ntcp_address = \"0.0.0.0:11435\"\n"),
              HasSubstr("loopback"));
}

TEST(Config, RefusesSocketsThatShareAPath) {
  EXPECT_THAT(problem_of("[listen]\napi_socket = \"/a\"\nadmin_socket = \"/a\"\n"),
              HasSubstr("path of its own"));
}

TEST(Config, RefusesToWatchForBundlesThatNobodyDirects) {
  EXPECT_THAT(problem_of("[bundles]\nwatch = \"/media/stick\"\n"),
              HasSubstr("trust.offline_root_file"));
  EXPECT_THAT(problem_of("[bundles]\nwatch = \"stick\"\n"), HasSubstr("absolute"));
}

TEST(Config, NamesSignersOfImportsByAbsolutePaths) {
  EXPECT_EQ(problem_of("[import]\nsigner_keys = [\"/etc/skerry/maker.pub\"]\n"), "");
  EXPECT_THAT(problem_of("[import]\nsigner_keys = [\"maker.pub\"]\n"), HasSubstr("absolute"));
  EXPECT_THAT(problem_of("[import]\nsigner_anchors = [\"\"]\n"), HasSubstr("absolute"));
}

TEST(Config, RefusesATokenWithoutAController) {
  EXPECT_THAT(problem_of("[controller]\ntoken_file = \"/t\"\n"), HasSubstr("controller.address"));
}

TEST(Config, RefusesAPinThatIsNoDigest) {
  EXPECT_THAT(problem_of("[controller]\naddress = \"c:1\"\nspki_pin = \"sha256:zz\"\n"),
              HasSubstr("spki_pin"));
}

TEST(Config, RefusesEncryptionWithoutAKeyThatUnwraps) {
  EXPECT_THAT(problem_of("[storage]\nencryption = \"on\"\n"), HasSubstr("encryption_key"));
  EXPECT_THAT(problem_of("[storage]\nencryption_key = \"pkcs11:token=t;object=o\"\n"),
              HasSubstr("encryption_key"));
  EXPECT_TRUE(parse_config(
      "[storage]\nencryption = \"on\"\nencryption_key = \"tpm:/etc/skerry/k.tss\"\n", "a"));
}

TEST(Config, ReloadNamesWhatNeedsARestart) {
  Result<Config> before = parse_config("", "a");
  Result<Config> after =
      parse_config("[log]\nlevel = \"debug\"\n[listen]\napi_socket = \"/run/other.sock\"\n", "a");
  ASSERT_TRUE(before);
  ASSERT_TRUE(after);
  Result<Settings> a = finalize(*before, test_environment());
  Result<Settings> b = finalize(*after, test_environment());
  ASSERT_TRUE(a);
  ASSERT_TRUE(b);
  EXPECT_THAT(needs_restart(*a, *b), testing::ElementsAre("listen.api_socket"));
}

TEST(Config, ReadsSourcesPeersAndTheLink) {
  Result<Config> config = parse_config(R"(
[sources]
folders = ["/media/stick"]
[[sources.url]]
url = "https://cdn.example/blobs/"
site = true
authorization_file = "/etc/skerry/cdn.token"
[[sources.url]]
url = "https://[2001:db8::1]:8443"
[peer]
listen = "0.0.0.0:8845"
gateways = ["10.0.0.7:8845"]
[link]
daily = "100MiB"
quiet_hours = ["22:00-06:00"]
metered_file = "/run/metered"
)",
                                       "t.toml");
  ASSERT_TRUE(config) << config.error().message();
  ASSERT_EQ(config->sources.urls.size(), 2U);
  EXPECT_EQ(config->sources.urls[0].url, "https://cdn.example/blobs");
  EXPECT_TRUE(config->sources.urls[0].site);
  Result<Settings> settings = finalize(*config, Environment{});
  ASSERT_TRUE(settings) << settings.error().message();
  EXPECT_EQ(settings->peer_address().port, 8845);
  ASSERT_EQ(settings->quiet_hours().size(), 1U);
  EXPECT_EQ(settings->quiet_hours()[0], (QuietHours{22 * 60, 6 * 60}));
  EXPECT_EQ(settings->quiet_hours_zone().name(), "UTC");
  config->link.quiet_hours_zone = "Europe/Atlantis";
  settings = finalize(*config, Environment{});
  ASSERT_FALSE(settings);
  EXPECT_NE(settings.error().message().find("link.quiet_hours_zone"), std::string::npos);
}

TEST(Config, RefusesSourcesThatCannotBe) {
  for (const auto* text : {"[[sources.url]]\nurl = \"http://cdn.example\"",
                           "[[sources.url]]\nsite = true",
                           "[[sources.url]]\nurl = \"https://a\"\nkey_file = \"/k\"",
                           "[sources]\nfolders = [\"relative\"]",
                           "[peer]\ngateways = [\"no-port\"]",
                           "[peer]\nlisten = \"no-port\"",
                           "[link]\nquiet_hours = [\"22-6\"]",
                           "[link]\nmetered_file = \"relative\""}) {
    EXPECT_FALSE(parse_config(text, "t.toml")) << text;
  }
  Config many;
  many.peer.gateways.assign(16, "10.0.0.7:8845");
  EXPECT_FALSE(finalize(many, Environment{}));
}

TEST(HostPort, AcceptsNamesAndBracketedAddresses) {
  Result<HostPort> name = parse_host_port("fleet.example:8443");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->host, "fleet.example");
  EXPECT_EQ(name->port, 8443);
  Result<HostPort> six = parse_host_port("[::1]:80");
  ASSERT_TRUE(six);
  EXPECT_EQ(six->host, "::1");
  for (const char* text : {"", ":1", "a", "a:", "a:x", "a:70000", "::1:80", "[]:1"}) {
    EXPECT_FALSE(parse_host_port(text)) << text;
  }
}

}  // namespace
}  // namespace skerry::agent
