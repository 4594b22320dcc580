#include "skerry/controller/settings.hpp"

#include <gtest/gtest.h>

#include "skerry/common/toml_reader.hpp"

namespace skerry::controller {
namespace {

using namespace std::chrono_literals;

Result<Settings> settings_of(std::string_view toml) {
  auto config = parse_config(toml, "controller.toml");
  if (!config) {
    return config.error();
  }
  return Settings::finalize(std::move(*config));
}

std::string refusal(std::string_view toml) {
  const auto settings = settings_of(toml);
  if (settings) {
    return "accepted";
  }
  EXPECT_EQ(settings.error().code(), Error::Code::kConfigInvalid);
  return settings.error().message();
}

TEST(ControllerSettings, AnEmptyFileGivesTheDefaults) {
  const auto settings = settings_of("");
  ASSERT_TRUE(settings) << settings.error().to_string();
  EXPECT_EQ(settings->server().listen, "127.0.0.1:8443");
  EXPECT_EQ(settings->identity().ca_key, "file:/var/lib/skerry-controller/keys/ca.pem");
  EXPECT_EQ(settings->store().connection, "/var/lib/skerry-controller/controller.db");
  EXPECT_EQ(settings->identity().device_certificate, 400 * 24h);
}

TEST(ControllerSettings, TheFullExampleHoldsEveryOptionWithItsDefault) {
  SystemFileSystem fs;
  const std::filesystem::path path =
      std::filesystem::path{SKERRY_SOURCE_DIR} / "deploy/config/skerry-controller.full.toml";
  const auto text = read_file(fs, path, 1U << 20U);
  ASSERT_TRUE(text) << text.error().to_string();
  // Options stand behind "# ": without that every one of them must be accepted and change nothing.
  std::string enabled;
  std::size_t options = 0;
  for (std::size_t at = 0; at < text->size();) {
    const auto end = std::min(text->find('\n', at), text->size());
    std::string line = text->substr(at, end - at);
    if (line.starts_with("#") && !line.starts_with("# ") && line.find(" = ") != std::string::npos) {
      line.erase(0, 1);
      ++options;
    }
    enabled += line + "\n";
    at = end + 1;
  }
  EXPECT_EQ(options, 28U);
  const auto settings = settings_of(enabled);
  ASSERT_TRUE(settings) << settings.error().to_string();
  const auto defaults = settings_of("");
  EXPECT_EQ(settings->server().listen, defaults->server().listen);
  EXPECT_EQ(settings->server().names, defaults->server().names);
  EXPECT_EQ(settings->server().drain, defaults->server().drain);
  EXPECT_EQ(settings->identity().online_key, defaults->identity().online_key);
  EXPECT_EQ(settings->policy_file(), defaults->policy_file());
  EXPECT_EQ(settings->enrolment().token_ttl_max, defaults->enrolment().token_ttl_max);
  EXPECT_EQ(settings->trust().timestamp_lifetime, defaults->trust().timestamp_lifetime);
  EXPECT_EQ(settings->blobs().max_size, defaults->blobs().max_size);
  EXPECT_EQ(settings->blobs().message_size, defaults->blobs().message_size);
  EXPECT_EQ(settings->rollout().offline_after, defaults->rollout().offline_after);
  EXPECT_EQ(settings->telemetry().retention, defaults->telemetry().retention);
  EXPECT_EQ(settings->log().level, defaults->log().level);
}

TEST(ControllerSettings, AMisspeltKeyIsNamedWithItsLineAndTheNearestOne) {
  EXPECT_EQ(refusal("[server]\nlissten = \"x:1\"\n"),
            "controller.toml:2: unknown key \"server.lissten\"; did you mean \"server.listen\"?");
}

TEST(ControllerSettings, WrongValuesAreRefusedWithAHint) {
  EXPECT_NE(refusal("[state]\ndirectory = \"relative\"\n").find("absolute path"),
            std::string::npos);
  EXPECT_NE(refusal("[server]\nlisten = \"8443\"\n").find("write host:port"), std::string::npos);
  EXPECT_NE(refusal("[server]\nlisten = \"x:99999\"\n").find("write host:port"), std::string::npos);
  EXPECT_NE(refusal("[server]\nnames = []\n").find("1 to 64"), std::string::npos);
  EXPECT_NE(refusal("[store]\nbackend = \"postgresql\"\n").find("not supported by this release"),
            std::string::npos);
  EXPECT_NE(refusal("[identity]\ntrust_domain = \"Acme!\"\n").find("lower-case"),
            std::string::npos);
  EXPECT_NE(refusal("[identity]\ntenant = \"UPPER\"\n").find("identity.tenant"), std::string::npos);
  EXPECT_NE(refusal("[enrolment]\ntoken_ttl = \"60d\"\n").find("enrolment.token_ttl"),
            std::string::npos);
  EXPECT_NE(refusal("[trust]\ntimestamp_lifetime = \"60d\"\n").find("trust.timestamp_lifetime"),
            std::string::npos);
  EXPECT_NE(refusal("[blobs]\nmessage_size = \"1KiB\"\n").find("blobs.message_size"),
            std::string::npos);
  EXPECT_NE(refusal("[log]\nlevel = \"loud\"\n").find("none of debug, info"), std::string::npos);
}

}  // namespace
}  // namespace skerry::controller
