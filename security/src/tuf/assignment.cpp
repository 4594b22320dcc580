#include "skerry/security/tuf/assignment.hpp"

#include <algorithm>
#include <utility>

#include "skerry/common/digest.hpp"

namespace skerry::security::tuf {

namespace {

constexpr std::string_view kType = "assignment";
constexpr std::size_t kMaxAssignments = 256;
constexpr std::size_t kMaxText = 1024;

Error not_an_assignment(const std::string& path, const std::string& why) {
  return Error{Error::Code::kMetadataMismatch, "the director's entry " + path + ": " + why};
}

Error disagree(const Assignment& director,
               std::string_view what,
               const std::string& theirs,
               const std::string& ours) {
  return Error{Error::Code::kMetadataMismatch,
               "director and image repository disagree about " + director.target + ": " +
                   std::string{what} + " is " + theirs + " for the director and " + ours +
                   " in the image repository"};
}

// A text member, empty if it is absent.
Result<std::string> text_of(const Json& custom, std::string_view key, const std::string& path) {
  const Json* value = custom.find(key);
  if (value == nullptr) {
    return std::string{};
  }
  const std::string* text = value->string();
  if (text == nullptr || text->size() > kMaxText) {
    return not_an_assignment(path, "\"" + std::string{key} + "\" is no short text");
  }
  return *text;
}

Result<Assignment> parse_one(const std::string& path,
                             std::string_view slot,
                             const TargetFile& file) {
  Assignment out;
  out.slot = slot;
  out.file = file;
  auto type = text_of(file.custom, "type", path);
  auto target = text_of(file.custom, "target", path);
  auto rollout = text_of(file.custom, "rollout", path);
  auto hardware = text_of(file.custom, "hardware", path);
  for (Result<std::string>* text : {&type, &target, &rollout, &hardware}) {
    if (!*text) {
      return text->error();
    }
  }
  const auto generation = file.custom.get_int("generation");
  if (*type != kType || !generation || *generation < 1) {
    return not_an_assignment(path, "it has not the type \"assignment\" and a generation above 0");
  }
  if (!target->empty()) {
    if (auto checked = check_target_path(*target); !checked) {
      return checked.error().with_context("the director's entry " + path);
    }
  }
  out.generation = static_cast<std::uint64_t>(*generation);
  out.target = std::move(*target);
  out.rollout = std::move(*rollout);
  out.hardware = std::move(*hardware);
  out.not_after = file.not_after();
  return out;
}

}  // namespace

std::string assignment_role(std::string_view device_id) {
  return std::string{device_id};
}

std::string assignment_pattern(std::string_view device_id) {
  return assignment_path(device_id, "*");
}

std::string assignment_path(std::string_view device_id, std::string_view slot) {
  return "devices/" + std::string{device_id} + "/" + std::string{slot};
}

TargetFile encode_assignment(const Assignment& assignment) {
  TargetFile out = assignment.file;
  Json::Object custom{{"type", std::string{kType}},
                      {"generation", assignment.generation},
                      {"target", assignment.target}};
  if (assignment.target.empty()) {
    // Nothing runs: the entry of an empty file.
    out.length = 0;
    out.hashes = {{"sha256", Digest::of(std::string_view{}).hex()}};
  } else {
    custom["release_counter"] = assignment.file.release_counter();
  }
  if (!assignment.rollout.empty()) {
    custom["rollout"] = assignment.rollout;
  }
  if (!assignment.hardware.empty()) {
    custom["hardware"] = assignment.hardware;
  }
  if (assignment.not_after) {
    custom["not_after"] = to_rfc3339(*assignment.not_after);
  }
  out.custom = Json{std::move(custom)};
  return out;
}

Result<std::vector<Assignment>> parse_assignments(std::string_view device_id,
                                                  const Targets& targets) {
  if (targets.targets.size() > kMaxAssignments) {
    return Error{Error::Code::kTooLarge, "the director assigns more than 256 slots"};
  }
  const std::string prefix = assignment_path(device_id, "");
  std::vector<Assignment> out;
  for (const auto& [path, file] : targets.targets) {
    const std::string_view slot =
        path.starts_with(prefix) ? std::string_view{path}.substr(prefix.size()) : "";
    if (slot.empty() || slot.find('/') != std::string_view::npos) {
      return not_an_assignment(path, "it is not a slot of this device, " + std::string{device_id});
    }
    auto one = parse_one(path, slot, file);
    if (!one) {
      return one.error();
    }
    out.push_back(std::move(*one));
  }
  return out;
}

Result<void> check_agreement(const Assignment& director,
                             std::string_view image_path,
                             const TargetFile& image,
                             std::string_view machine) {
  if (director.target != image_path) {
    return disagree(director, "the path", director.target, std::string{image_path});
  }
  if (director.file.length != image.length) {
    return disagree(
        director, "the length", std::to_string(director.file.length), std::to_string(image.length));
  }
  bool compared = false;
  for (const auto& [algorithm, hash] : director.file.hashes) {
    const auto other = image.hashes.find(algorithm);
    if (other == image.hashes.end()) {
      continue;
    }
    if (other->second != hash) {
      return disagree(director, algorithm, hash, other->second);
    }
    compared = compared || algorithm == "sha256" || algorithm == "sha512";
  }
  if (!compared) {
    return Error{Error::Code::kMetadataMismatch,
                 "director and image repository give no hash of " + director.target +
                     " that can be compared"};
  }
  if (director.file.release_counter() != image.release_counter()) {
    return disagree(director,
                    "the release counter",
                    std::to_string(director.file.release_counter()),
                    std::to_string(image.release_counter()));
  }
  if (!director.hardware.empty() && director.hardware != machine) {
    return Error{Error::Code::kMetadataMismatch,
                 "the director assigns " + director.target + " to a " + director.hardware +
                     " machine; this one is " + std::string{machine}};
  }
  if (const Json* made_for = image.custom.find("hardware"); made_for != nullptr) {
    const Json::Array none;
    const Json::Array& names = made_for->array() == nullptr ? none : *made_for->array();
    const bool ours = std::any_of(names.begin(), names.end(), [&](const Json& name) {
      return name.string() != nullptr && *name.string() == machine;
    });
    if (!ours) {
      return Error{Error::Code::kMetadataMismatch,
                   director.target + " is not signed for " + std::string{machine} + " machines"};
    }
  }
  return {};
}

}  // namespace skerry::security::tuf
