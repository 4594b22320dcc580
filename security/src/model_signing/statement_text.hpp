#pragma once

// What reading and writing a statement share. Private to model_signing/.

#include "skerry/security/model_signing/statement.hpp"

namespace skerry::security::model_signing {

inline constexpr std::string_view kStatementType = "https://in-toto.io/Statement/v1";
inline constexpr std::string_view kPredicateType = "https://model_signing/signature/v1.0";

// "<path>", or "<path>:<start>:<end>" with shards (OMS 6.3).
std::string resource_name(const Resource& resource, Method method);

// OMS 6.5.1.
Digest root_digest(const std::vector<Resource>& resources);

}  // namespace skerry::security::model_signing
