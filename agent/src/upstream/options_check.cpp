#include <set>

#include <boost/asio/ip/address.hpp>

#include "skerry/agent/upstream_http.hpp"
#include "skerry/agent/upstreams.hpp"

namespace skerry::agent::upstream {
namespace {

constexpr std::size_t kMostEndpoints = 32;

// A name that merely looks like an address ("127.0.0.1.example") is none.
bool is_this_machine(const std::string& host) {
  boost::system::error_code ec;
  const boost::asio::ip::address address = boost::asio::ip::make_address(host, ec);
  return host == "localhost" || (!ec && address.is_loopback());
}

Error wrong(const EndpointOptions& endpoint, std::string_view problem) {
  return Error{Error::Code::kConfigInvalid,
               "upstream.endpoint \"" + endpoint.name + "\": " + std::string{problem}};
}

Result<void> check_endpoint(const EndpointOptions& endpoint) {
  const Result<Url> url = parse_url(endpoint.url);
  if (!url) {
    return wrong(endpoint, "url: " + url.error().message());
  }
  const bool here = is_this_machine(url->host);
  if (endpoint.tier == Tier::kLocal && !here) {
    return wrong(endpoint, "tier \"local\" is this machine: its url must name a loopback address");
  }
  if (url->tls || here) {
    return {};
  }
  if (endpoint.tier == Tier::kCloud) {
    return wrong(endpoint, "a server in the cloud must be reached by https://");
  }
  if (!endpoint.insecure_http) {
    return wrong(endpoint,
                 "http:// to another machine can be read on the way: use https://, or set "
                 "insecure_http = true on a network of your own");
  }
  if (!endpoint.api_key_file.empty()) {
    return wrong(endpoint, "a key is not sent over http:// to another machine");
  }
  return {};
}

}  // namespace

Result<void> check_options(const UpstreamOptions& options) {
  std::set<std::string> names;
  if (options.endpoints.size() > kMostEndpoints) {
    return Error{Error::Code::kConfigInvalid, "upstream.endpoint: at most 32"};
  }
  for (const EndpointOptions& endpoint : options.endpoints) {
    if (!names.insert(endpoint.name).second) {
      return wrong(endpoint, "there are two of this name");
    }
    if (Result<void> checked = check_endpoint(endpoint); !checked) {
      return checked;
    }
  }
  return {};
}

}  // namespace skerry::agent::upstream
