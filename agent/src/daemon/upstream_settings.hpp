#pragma once

// The configuration of [upstream] as Upstreams takes it.

#include "skerry/agent/config.hpp"
#include "skerry/agent/upstreams.hpp"

namespace skerry::agent {

upstream::UpstreamOptions upstream_options(const UpstreamConfig& config);

}  // namespace skerry::agent
