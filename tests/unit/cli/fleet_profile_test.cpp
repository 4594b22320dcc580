#include "skerry/cli/fleet_profile.hpp"

#include <gmock/gmock.h>

#include "cli_fixture.hpp"

namespace skerry::cli::test {
namespace {

using ::testing::HasSubstr;

class FleetProfileTest : public CommandTest {};

TEST_F(FleetProfileTest, FileGivesPathsRelativeToItself) {
  write("fleet.toml",
        "controller = \"c:1\"\ncert = \"o.crt\"\nkey = \"file:/k.pem\"\nca = \"/ca.crt\"\n");
  const auto profile =
      resolve_profile(fs_, {.profile = {}, .file = path("fleet.toml"), .operator_folder = ""}, {});
  ASSERT_TRUE(profile) << profile.error().to_string();
  EXPECT_EQ(profile->controller, "c:1");
  EXPECT_EQ(profile->cert, path("o.crt"));
  EXPECT_EQ(profile->key, "file:/k.pem");
  EXPECT_EQ(profile->ca, "/ca.crt");
}

TEST_F(FleetProfileTest, OptionsWinOverFolderAndFolderOverFile) {
  write("fleet.toml",
        "controller = \"file:1\"\ncert = \"f.crt\"\nkey = \"f.key\"\nca = \"f.ca\"\n");
  FleetArguments arguments;
  arguments.file = path("fleet.toml");
  arguments.operator_folder = "/op";
  arguments.profile.ca = "/mine.crt";
  const auto profile = resolve_profile(fs_, arguments, {});
  ASSERT_TRUE(profile) << profile.error().to_string();
  EXPECT_EQ(profile->ca, "/mine.crt");
  EXPECT_EQ(profile->cert, "/op/operator.crt");
  EXPECT_EQ(profile->controller, "file:1");
}

TEST_F(FleetProfileTest, FoundThroughTheEnvironment) {
  write("fleet.toml", "controller = \"c:1\"\ncert = \"a\"\nkey = \"b\"\nca = \"c\"\n");
  const auto profile = resolve_profile(fs_, {}, {{"SKERRY_FLEET_CONFIG", path("fleet.toml")}});
  ASSERT_TRUE(profile) << profile.error().to_string();
  EXPECT_EQ(profile->controller, "c:1");
}

TEST_F(FleetProfileTest, SaysWhatIsMissingAndHowToGiveIt) {
  const auto profile = resolve_profile(fs_, {}, {{"HOME", path("nobody")}});
  ASSERT_FALSE(profile);
  EXPECT_THAT(profile.error().message(), HasSubstr("give --controller"));
}

TEST_F(FleetProfileTest, UnknownKeyIsAnErrorWithASuggestion) {
  write("fleet.toml", "controler = \"c:1\"\n");
  const auto profile =
      resolve_profile(fs_, {.profile = {}, .file = path("fleet.toml"), .operator_folder = ""}, {});
  ASSERT_FALSE(profile);
  EXPECT_THAT(profile.error().message(), HasSubstr("controller"));
}

}  // namespace
}  // namespace skerry::cli::test
