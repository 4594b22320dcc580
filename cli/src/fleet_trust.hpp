#pragma once

// Moving signed metadata between the operator's working copy and the controller. Used by `fleet
// publish` and `fleet push --sign`.

#include <string>

#include "skerry/cli/trust_copy.hpp"

#include "fleet.hpp"

namespace skerry::cli {

inline constexpr const char* kImageRepository = "image";
inline constexpr const char* kDirectorRepository = "director";

// Verifies and keeps what the controller publishes in the repository of that name.
Result<void> pull_trust(Invocation& invocation,
                        const FleetConnection& connection,
                        const std::string& folder,
                        const std::string& repository = kImageRepository);

// Publishes what is staged and fully signed, then follows.
Result<fleet::PublishResponse> publish_working_copy(
    Invocation& invocation,
    const FleetConnection& connection,
    const std::string& folder,
    const std::string& repository = kImageRepository);

}  // namespace skerry::cli
