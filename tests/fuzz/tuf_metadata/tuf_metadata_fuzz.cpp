// Every TUF role is parsed from the same bytes; what parses must stay the same through its exact
// bytes, and thresholds can be checked on it without trust. Delegations are followed for paths of
// the file's own and for a fixed one.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "skerry/security/tuf/assignment.hpp"
#include "skerry/security/tuf/delegation.hpp"
#include "skerry/security/tuf/repository.hpp"
#include "skerry/security/tuf/trusted_set.hpp"

namespace tuf = skerry::security::tuf;

namespace {

// Which delegations cover a path: in order, none behind a terminating one, with names that stay one
// component of a file name.
void follow(const tuf::Delegations& delegations, std::string_view path) {
  const auto roles = tuf::delegations_for(delegations, path);
  for (std::size_t i = 0; i < roles.size(); ++i) {
    const std::string name = tuf::encode_role_name(tuf::RoleName{roles[i].name});
    const bool last = i + 1 == roles.size();
    if ((roles[i].terminating && !last) || name.empty() || name.find('/') != std::string::npos ||
        name.size() > 3 * tuf::MetadataLimits::kRoleName || tuf::parse_role(roles[i].name)) {
      std::abort();
    }
    static_cast<void>(
        tuf::verify_threshold(roles[i].keys, delegations.keys, {}, "x", roles[i].name).has_value());
    for (const std::string& pattern : roles[i].paths) {
      // No pattern crosses a slash.
      if (tuf::matches_path_pattern(pattern, path) &&
          std::count(pattern.begin(), pattern.end(), '/') !=
              std::count(path.begin(), path.end(), '/')) {
        std::abort();
      }
    }
  }
}

// A director's list for the device "d": what is read of it is written the same.
void direct(const tuf::Targets& targets) {
  const auto assigned = tuf::parse_assignments("d", targets);
  if (!assigned) {
    return;
  }
  for (const tuf::Assignment& one : *assigned) {
    tuf::Targets again;
    again.targets.emplace(tuf::assignment_path("d", one.slot), tuf::encode_assignment(one));
    const auto read = tuf::parse_assignments("d", again);
    if (!read || read->size() != 1 || read->front().generation != one.generation ||
        read->front().target != one.target || read->front().hardware != one.hardware) {
      std::abort();
    }
    static_cast<void>(tuf::check_agreement(one, one.target, one.file, "x86_64").has_value());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes{reinterpret_cast<const char*>(data), size};
  if (const auto root = tuf::parse_root(bytes)) {
    const auto again = tuf::parse_root(root->bytes);
    if (!again || again->canonical != root->canonical) {
      std::abort();
    }
    auto set = tuf::TrustedSet::create(bytes, skerry::security::TrustedTime{});
    if (set) {
      static_cast<void>(set->update_root(bytes).has_value());
    }
  }
  static_cast<void>(tuf::parse_timestamp(bytes).has_value());
  static_cast<void>(tuf::parse_snapshot(bytes).has_value());
  if (const auto targets = tuf::parse_targets(bytes)) {
    for (const auto& [path, target] : targets->content.targets) {
      if (!tuf::check_target_path(path)) {
        std::abort();
      }
      static_cast<void>(target.check("content").has_value());
      static_cast<void>(target.not_after());
      if (targets->content.delegations) {
        follow(*targets->content.delegations, path);
      }
    }
    if (targets->content.delegations) {
      follow(*targets->content.delegations, "models/acme/log-triage/1.0.0");
    }
    direct(targets->content);
  }
  static_cast<void>(tuf::describe_metadata(bytes).has_value());
  if (const auto role = tuf::decode_role_name(bytes);
      role && tuf::encode_role_name(*role) != bytes) {
    std::abort();
  }
  // "pattern\npath", any bytes.
  const std::size_t line = bytes.find('\n');
  if (line != std::string_view::npos && size < 2048) {
    static_cast<void>(tuf::matches_path_pattern(bytes.substr(0, line), bytes.substr(line + 1)));
  }
  return 0;
}
