#include <gtest/gtest.h>

#include "skerry/security/sandbox.hpp"

namespace skerry::security {
namespace {

SandboxReport report_with(const std::vector<SandboxLayer>& achieved) {
  SandboxReport report;
  for (const SandboxLayer layer : all_sandbox_layers()) {
    const bool has = std::find(achieved.begin(), achieved.end(), layer) != achieved.end();
    report.layers.push_back({layer, has, has ? "" : "not here"});
  }
  return report;
}

TEST(SandboxReport, RequirementsNameWhatIsMissing) {
  const SandboxReport standard = report_with({SandboxLayer::kNoNewPrivileges,
                                              SandboxLayer::kSeccomp,
                                              SandboxLayer::kLimits,
                                              SandboxLayer::kNotDumpable});
  EXPECT_TRUE(check_requirement(standard, SandboxRequirement::kBestEffort));
  EXPECT_TRUE(check_requirement(standard, SandboxRequirement::kStandard));
  const auto strict = check_requirement(standard, SandboxRequirement::kStrict);
  ASSERT_FALSE(strict);
  EXPECT_EQ(strict.error().code(), Error::Code::kWorkerSetup);
  EXPECT_NE(strict.error().message().find("landlock (not here), netns (not here)"),
            std::string::npos)
      << strict.error().message();
}

TEST(SandboxReport, EmptyReportMeetsNothing) {
  EXPECT_FALSE(check_requirement({}, SandboxRequirement::kStandard));
  EXPECT_TRUE(check_requirement({}, SandboxRequirement::kBestEffort));
}

TEST(SandboxReport, SummaryMarksWhatIsMissing) {
  SandboxReport report;
  report.layers = {{SandboxLayer::kLandlock, true, "abi 3"},
                   {SandboxLayer::kUser, false, "not root"}};
  EXPECT_EQ(report.summary(), "landlock(abi 3) -uid(not root)");
}

TEST(SandboxRequirement, NamesGoBothWays) {
  for (const auto requirement : {SandboxRequirement::kBestEffort,
                                 SandboxRequirement::kStandard,
                                 SandboxRequirement::kStrict}) {
    EXPECT_EQ(*parse_sandbox_requirement(to_string(requirement)), requirement);
  }
  EXPECT_FALSE(parse_sandbox_requirement("loose"));
}

}  // namespace
}  // namespace skerry::security
