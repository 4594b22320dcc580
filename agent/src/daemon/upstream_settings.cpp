#include "upstream_settings.hpp"

namespace skerry::agent {

upstream::UpstreamOptions upstream_options(const UpstreamConfig& config) {
  upstream::UpstreamOptions options;
  options.connect_timeout = config.connect_timeout;
  options.first_byte_timeout = config.first_byte_timeout;
  options.idle_timeout = config.idle_timeout;
  options.probe_interval = config.probe_interval;
  options.max_waiting = static_cast<std::size_t>(config.max_waiting);
  for (const UpstreamEndpointConfig& endpoint : config.endpoints) {
    upstream::EndpointOptions& one = options.endpoints.emplace_back();
    one.name = endpoint.name;
    one.url = endpoint.url;
    one.kind = upstream::parse_server_kind(endpoint.server).value_or(one.kind);
    one.tier = upstream::parse_tier(endpoint.tier).value_or(upstream::Tier::kCloud);
    one.max_concurrent = static_cast<unsigned>(endpoint.max_concurrent);
    one.insecure_http = endpoint.insecure_http;
    one.ca_file = endpoint.ca_file;
    one.certificate_file = endpoint.certificate_file;
    one.key_file = endpoint.key_file;
    one.api_key_file = endpoint.api_key_file;
  }
  return options;
}

}  // namespace skerry::agent
