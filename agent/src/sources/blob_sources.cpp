#include "skerry/agent/blob_sources.hpp"

#include <utility>

#include "https_source.hpp"

namespace skerry::agent {
namespace {

constexpr std::size_t kMaxPem = 64U << 10U;
constexpr std::size_t kMaxAuthorization = 8U << 10U;

// Empty for no path.
Result<std::string> text_of(FileSystem& fs, const std::string& path, std::size_t limit) {
  return path.empty() ? Result<std::string>{std::string{}} : read_file(fs, path, limit);
}

// The one line of the file. A second one could smuggle in a header.
Result<std::string> authorization_of(FileSystem& fs, const std::string& path) {
  auto text = text_of(fs, path, kMaxAuthorization);
  if (!text) {
    return text;
  }
  while (!text->empty() && (text->back() == '\n' || text->back() == '\r' || text->back() == ' ')) {
    text->pop_back();
  }
  for (const char c : *text) {
    if (static_cast<unsigned char>(c) < 0x20) {
      return Error{Error::Code::kParse, path + " must hold one line: the header's value"};
    }
  }
  return text;
}

}  // namespace

void BlobSources::set_identity(PeerIdentity identity) {
  const std::lock_guard lock{mutex_};
  identity_ = std::move(identity);
}

std::optional<PeerIdentity> BlobSources::identity() const {
  const std::lock_guard lock{mutex_};
  return identity_;
}

std::vector<std::unique_ptr<registry::BlobSource>> BlobSources::open() const {
  std::vector<std::unique_ptr<registry::BlobSource>> sources;
  add_folders(sources);
  add_peers(sources);
  add_urls(sources);
  return sources;
}

void BlobSources::add_folders(std::vector<std::unique_ptr<registry::BlobSource>>& out) const {
  const auto settings = core_.settings;
  for (const std::string& folder : settings->sources().folders) {
    out.push_back(std::make_unique<registry::FileSource>(core_.fs, folder));
  }
}

void BlobSources::add_peers(std::vector<std::unique_ptr<registry::BlobSource>>& out) const {
  const auto settings = core_.settings;
  const auto known = identity();
  if (!known) {
    return;
  }
  for (const std::string& gateway : settings->peer().gateways) {
    HttpsSourceOptions options;
    options.name = "peer " + gateway;
    options.base_url = "https://" + gateway;
    options.reach = registry::SourceReach::kSite;
    options.ca_pem = known->trust_bundle_pem;
    options.certificate_pem = known->certificate_chain_pem;
    options.key_pem = known->key_pem;
    options.device_domain = known->trust_domain;
    out.push_back(std::make_unique<HttpsSource>(std::move(options)));
  }
}

void BlobSources::add_urls(std::vector<std::unique_ptr<registry::BlobSource>>& out) const {
  const auto settings = core_.settings;
  for (const UrlSourceConfig& url : settings->sources().urls) {
    const auto ca = text_of(core_.fs, url.ca_file, kMaxPem);
    const auto certificate = text_of(core_.fs, url.certificate_file, kMaxPem);
    const auto key = text_of(core_.fs, url.key_file, kMaxPem);
    const auto authorization = authorization_of(core_.fs, url.authorization_file);
    const Result<std::string>* problem = nullptr;
    for (const auto* text : {&ca, &certificate, &key, &authorization}) {
      problem = *text ? problem : text;
    }
    if (problem != nullptr) {
      core_.log.error("source.left_out",
                      {{"source", url.url}, {"error", problem->error().to_string()}});
      continue;
    }
    HttpsSourceOptions options;
    options.name = url.url;
    options.base_url = url.url;
    options.reach = url.site ? registry::SourceReach::kSite : registry::SourceReach::kLink;
    options.ca_pem = *ca;
    options.certificate_pem = *certificate;
    options.key_pem = *key;
    options.authorization = *authorization;
    out.push_back(std::make_unique<HttpsSource>(std::move(options)));
  }
}

OpenedSources::OpenedSources(const BlobSources* configured,
                             registry::BlobSource* last,
                             bool site_only) {
  if (configured != nullptr) {
    own = configured->open();
  }
  const auto add = [&](registry::BlobSource* source) {
    if (source != nullptr && !(site_only && source->reach() == registry::SourceReach::kLink)) {
      all.push_back(source);
    }
  };
  for (const auto& source : own) {
    add(source.get());
  }
  add(last);
}

registry::FetchOptions BlobSources::options() const {
  const auto settings = core_.settings;
  registry::FetchOptions options;
  options.rate_limit = settings->sync().max_bytes_per_second.bytes;
  options.parallel = settings->sources().parallel;
  options.prefer_site = settings->sources().prefer_site;
  options.budget = &link_;
  return options;
}

}  // namespace skerry::agent
