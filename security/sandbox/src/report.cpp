#include <algorithm>
#include <array>
#include <string>

#include "skerry/common/result.hpp"
#include "skerry/security/sandbox.hpp"

namespace skerry::security {
namespace {

const std::vector<SandboxLayer>& required_layers(SandboxRequirement requirement) {
  static const std::vector<SandboxLayer> kNone;
  static const std::vector<SandboxLayer> kStandard{SandboxLayer::kNoNewPrivileges,
                                                   SandboxLayer::kSeccomp,
                                                   SandboxLayer::kLimits,
                                                   SandboxLayer::kNotDumpable};
  static const std::vector<SandboxLayer> kStrict{SandboxLayer::kNoNewPrivileges,
                                                 SandboxLayer::kSeccomp,
                                                 SandboxLayer::kLimits,
                                                 SandboxLayer::kNotDumpable,
                                                 SandboxLayer::kLandlock,
                                                 SandboxLayer::kNetworkNamespace};
  switch (requirement) {
    case SandboxRequirement::kBestEffort:
      return kNone;
    case SandboxRequirement::kStandard:
      return kStandard;
    case SandboxRequirement::kStrict:
      return kStrict;
  }
  return kStrict;
}

}  // namespace

std::string_view to_string(SandboxLayer layer) noexcept {
  switch (layer) {
    case SandboxLayer::kNoNewPrivileges:
      return "no_new_privs";
    case SandboxLayer::kNetworkNamespace:
      return "netns";
    case SandboxLayer::kUser:
      return "uid";
    case SandboxLayer::kLandlock:
      return "landlock";
    case SandboxLayer::kSeccomp:
      return "seccomp";
    case SandboxLayer::kLimits:
      return "rlimits";
    case SandboxLayer::kNotDumpable:
      return "undumpable";
  }
  return "unknown";
}

const std::vector<SandboxLayer>& all_sandbox_layers() {
  static const std::vector<SandboxLayer> kAll{SandboxLayer::kNoNewPrivileges,
                                              SandboxLayer::kNetworkNamespace,
                                              SandboxLayer::kUser,
                                              SandboxLayer::kLandlock,
                                              SandboxLayer::kSeccomp,
                                              SandboxLayer::kLimits,
                                              SandboxLayer::kNotDumpable};
  return kAll;
}

bool SandboxReport::achieved(SandboxLayer layer) const {
  return std::any_of(layers.begin(), layers.end(), [layer](const LayerOutcome& outcome) {
    return outcome.layer == layer && outcome.achieved;
  });
}

std::string SandboxReport::summary() const {
  std::string text;
  for (const LayerOutcome& outcome : layers) {
    if (!text.empty()) {
      text += ' ';
    }
    if (!outcome.achieved) {
      text += '-';
    }
    text += to_string(outcome.layer);
    if (!outcome.detail.empty()) {
      text += '(' + outcome.detail + ')';
    }
  }
  return text;
}

std::string_view to_string(SandboxRequirement requirement) noexcept {
  switch (requirement) {
    case SandboxRequirement::kBestEffort:
      return "best_effort";
    case SandboxRequirement::kStandard:
      return "standard";
    case SandboxRequirement::kStrict:
      return "strict";
  }
  return "unknown";
}

Result<SandboxRequirement> parse_sandbox_requirement(std::string_view text) {
  for (const auto requirement : {SandboxRequirement::kBestEffort,
                                 SandboxRequirement::kStandard,
                                 SandboxRequirement::kStrict}) {
    if (text == to_string(requirement)) {
      return requirement;
    }
  }
  return Error{Error::Code::kInvalidArgument,
               "unknown sandbox requirement \"" + std::string{text} +
                   "\": use best_effort, standard or strict"};
}

Result<void> check_requirement(const SandboxReport& report, SandboxRequirement requirement) {
  std::string absent;
  for (const SandboxLayer layer : required_layers(requirement)) {
    if (report.achieved(layer)) {
      continue;
    }
    absent += absent.empty() ? "" : ", ";
    absent += to_string(layer);
    for (const LayerOutcome& outcome : report.layers) {
      if (outcome.layer == layer && !outcome.detail.empty()) {
        absent += " (" + outcome.detail + ")";
      }
    }
  }
  if (absent.empty()) {
    return {};
  }
  return Error{Error::Code::kWorkerSetup,
               "the sandbox requirement \"" + std::string{to_string(requirement)} +
                   "\" is not met on this machine, missing: " + absent};
}

}  // namespace skerry::security
