#include "https_source.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "skerry/agent/blob_http.hpp"
#include "skerry/security/certificate.hpp"

#include "curl_library.hpp"

namespace skerry::agent {
namespace {

constexpr long kConnectSeconds = 15;
constexpr long kSilentSeconds = 30;
constexpr long kReceiveBuffer = 256L << 10U;
constexpr long kHttpNotFound = 404;
constexpr long kHttpGone = 410;
constexpr std::string_view kRangeHeader = "content-range:";

std::string lower_case(std::string_view text) {
  std::string out{text};
  std::transform(out.begin(), out.end(), out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

Error status_error(long status) {
  const std::string said = "the server answered " + std::to_string(status);
  switch (status) {
    case kHttpNotFound:
    case kHttpGone:
      return {Error::Code::kNotFound, "has no such blob"};
    case 401:
    case 403:
      return {Error::Code::kUnauthenticated, said + "; check the authorization or certificate"};
    case 200:
      return {Error::Code::kParse, "the server ignores ranges"};
    case 416:
      return {Error::Code::kSizeMismatch, "the server's blob is shorter"};
    default:
      return status >= 300 && status < 400
                 ? Error{Error::Code::kParse, said + "; redirects are not followed"}
                 : Error{Error::Code::kUnavailable, said};
  }
}

}  // namespace

// One libcurl handle and the request that it carries out.
struct HttpsSource::Connection {
  Connection(const CurlLibrary& library, const HttpsSourceOptions& source)
      : curl(library), options(source), easy(library.easy_init()) {}
  ~Connection() {
    curl.easy_cleanup(easy);
    curl.slist_free_all(headers);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Result<void> perform(const registry::BlobRange& wanted,
                       registry::ByteSink& to,
                       const registry::CancelFlag& flag);
  void set_up();
  void set_up_tls();
  [[nodiscard]] long status() const {
    long code = 0;
    curl.easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &code);
    return code;
  }
  Result<void> take(ByteView bytes);
  // What went wrong, after libcurl said `code`.
  Error failure(CURLcode code) const;

  static std::size_t on_header(char* data, std::size_t one, std::size_t size, void* self);
  static std::size_t on_body(char* data, std::size_t one, std::size_t size, void* self);
  static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t);
  static CURLcode on_tls(CURL* easy, void* context, void* self);
  static int on_certificates(X509_STORE_CTX* store, void* self);

  const CurlLibrary& curl;
  const HttpsSourceOptions& options;
  CURL* easy;
  curl_slist* headers = nullptr;
  std::string url;
  std::string range_text;

  // The request that runs.
  const registry::BlobRange* range = nullptr;
  registry::ByteSink* sink = nullptr;
  const registry::CancelFlag* cancel = nullptr;
  std::optional<ByteSpan> answered;
  std::uint64_t received = 0;
  std::optional<Error> error;
};

std::size_t HttpsSource::Connection::on_header(char* data,
                                               std::size_t one,
                                               std::size_t size,
                                               void* self) {
  auto& connection = *static_cast<Connection*>(self);
  std::string_view line{data, one * size};
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r' || line.back() == ' ')) {
    line.remove_suffix(1);
  }
  if (line.starts_with("HTTP/")) {
    connection.answered.reset();
  } else if (lower_case(line.substr(0, kRangeHeader.size())) == kRangeHeader) {
    line.remove_prefix(kRangeHeader.size());
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    if (auto found = parse_content_range(line); found) {
      connection.answered = *found;
    }
  }
  return one * size;
}

std::size_t HttpsSource::Connection::on_body(char* data,
                                             std::size_t one,
                                             std::size_t size,
                                             void* self) {
  auto& connection = *static_cast<Connection*>(self);
  const std::size_t count = one * size;
  auto taken = connection.take(as_bytes(std::string_view{data, count}));
  if (!taken) {
    connection.error = taken.error();
    return count + 1;  // any other number ends the transfer
  }
  return count;
}

Result<void> HttpsSource::Connection::take(ByteView bytes) {
  if (cancel->cancelled()) {
    return Error{Error::Code::kCancelled, "the fetch was cancelled"};
  }
  if (const long code = status(); code != 206) {
    return status_error(code);
  }
  if (!answered || answered->first != range->offset ||
      answered->last != range->offset + range->length - 1) {
    return Error{Error::Code::kParse, "the server sent another range than was asked for"};
  }
  if (bytes.size() > range->length - received) {
    return Error{Error::Code::kParse, "the server sent more bytes than were asked for"};
  }
  received += bytes.size();
  return sink->write(bytes);
}

int HttpsSource::Connection::on_progress(
    void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<Connection*>(self)->cancel->cancelled() ? 1 : 0;
}

// A peer's certificate is that of a device: it names no host and, being a client's, would not do
// for a server. What counts is that the fleet's CA made it, for a device of this trust domain.
int HttpsSource::Connection::on_certificates(X509_STORE_CTX* store, void* self) {
  const auto& connection = *static_cast<const Connection*>(self);
  X509_VERIFY_PARAM_set_purpose(X509_STORE_CTX_get0_param(store), X509_PURPOSE_ANY);
  if (X509_verify_cert(store) != 1) {
    return 0;
  }
  Bytes der;
  X509* leaf = X509_STORE_CTX_get0_cert(store);
  const int length = ::i2d_X509(leaf, nullptr);
  if (length > 0) {
    der.resize(static_cast<std::size_t>(length));
    unsigned char* out = der.data();
    ::i2d_X509(leaf, &out);
  }
  const auto certificate = security::Certificate::from_der(der);
  const auto identity =
      certificate ? certificate->identity() : Result<security::SpiffeId>{certificate.error()};
  const bool right = identity && identity->kind == security::SpiffeId::Kind::kDevice &&
                     identity->trust_domain == connection.options.device_domain;
  if (!right) {
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
  }
  return right ? 1 : 0;
}

CURLcode HttpsSource::Connection::on_tls(CURL*, void* context, void* self) {
  ::SSL_CTX_set_cert_verify_callback(static_cast<SSL_CTX*>(context), on_certificates, self);
  return CURLE_OK;
}

void HttpsSource::Connection::set_up_tls() {
  const auto set_blob = [this](CURLoption option, const std::string& pem) {
    if (!pem.empty()) {
      curl_blob blob{const_cast<char*>(pem.data()), pem.size(), CURL_BLOB_NOCOPY};
      curl.easy_setopt(easy, option, &blob);
    }
  };
  curl.easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  curl.easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, options.device_domain.empty() ? 2L : 0L);
  curl.easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set_blob(CURLOPT_CAINFO_BLOB, options.ca_pem);
  set_blob(CURLOPT_SSLCERT_BLOB, options.certificate_pem);
  set_blob(CURLOPT_SSLKEY_BLOB, options.key_pem);
  if (!options.device_domain.empty()) {
    curl.easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_tls);
    curl.easy_setopt(easy, CURLOPT_SSL_CTX_DATA, this);
  }
}

void HttpsSource::Connection::set_up() {
  curl.easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
  curl.easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl.easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  // Proxies and passwords come from the configuration or not at all.
  curl.easy_setopt(easy, CURLOPT_PROXY, "");
  curl.easy_setopt(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  curl.easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl.easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl.easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl.easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, kSilentSeconds);
  curl.easy_setopt(easy, CURLOPT_BUFFERSIZE, kReceiveBuffer);
  curl.easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl.easy_setopt(easy, CURLOPT_HEADERDATA, this);
  curl.easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl.easy_setopt(easy, CURLOPT_WRITEDATA, this);
  curl.easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
  curl.easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl.easy_setopt(easy, CURLOPT_XFERINFODATA, this);
  curl.easy_setopt(easy, CURLOPT_USERAGENT, "skerryd");
  if (!options.authorization.empty()) {
    headers = curl.slist_append(nullptr, ("Authorization: " + options.authorization).c_str());
    curl.easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
  }
  set_up_tls();
}

Error HttpsSource::Connection::failure(CURLcode code) const {
  switch (code) {
    case CURLE_ABORTED_BY_CALLBACK:
      return {Error::Code::kCancelled, "the fetch was cancelled"};
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
      return {Error::Code::kCertificateInvalid,
              "the server's certificate is not one that is trusted here, or ours is refused"};
    case CURLE_COULDNT_RESOLVE_HOST:
      return {Error::Code::kUnavailable, "the server's name is not known"};
    case CURLE_COULDNT_CONNECT:
      return {Error::Code::kUnavailable, "nothing answers at " + options.base_url};
    case CURLE_OPERATION_TIMEDOUT:
      return {Error::Code::kUnavailable, "the server was silent too long"};
    case CURLE_PARTIAL_FILE:
      return {Error::Code::kUnavailable,
              "the connection ended after " + std::to_string(received) + " bytes"};
    default:
      return {Error::Code::kUnavailable,
              "the transfer failed (libcurl " + std::to_string(code) + ")"};
  }
}

Result<void> HttpsSource::Connection::perform(const registry::BlobRange& wanted,
                                              registry::ByteSink& to,
                                              const registry::CancelFlag& flag) {
  const auto hex = wanted.digest.hex();
  url = options.base_url + "/sha256/" + hex.substr(0, 2) + "/" + hex;
  range_text =
      std::to_string(wanted.offset) + "-" + std::to_string(wanted.offset + wanted.length - 1);
  curl.easy_setopt(easy, CURLOPT_URL, url.c_str());
  curl.easy_setopt(easy, CURLOPT_RANGE, range_text.c_str());
  range = &wanted;
  sink = &to;
  cancel = &flag;
  answered.reset();
  received = 0;
  error.reset();
  const CURLcode code = curl.easy_perform(easy);
  if (error) {
    return *error;
  }
  if (code != CURLE_OK) {
    return failure(code);
  }
  if (const long answer = status(); answer != 206) {
    return status_error(answer);
  }
  if (received != wanted.length) {
    return Error{Error::Code::kUnavailable,
                 "the answer ended after " + std::to_string(received) + " of " +
                     std::to_string(wanted.length) + " bytes"};
  }
  return {};
}

HttpsSource::HttpsSource(HttpsSourceOptions options) : options_(std::move(options)) {}
HttpsSource::~HttpsSource() = default;

Result<void> HttpsSource::read(const registry::BlobRange& range,
                               registry::ByteSink& sink,
                               const registry::CancelFlag& cancel) {
  if (range.length == 0) {
    return Error{Error::Code::kInvalidArgument, "a range of no bytes"};
  }
  if (!connection_) {
    const auto curl = CurlLibrary::get();
    if (!curl) {
      return curl.error();
    }
    auto connection = std::make_unique<Connection>(**curl, options_);
    if (connection->easy == nullptr) {
      return Error{Error::Code::kUnavailable, "libcurl gives no handle"};
    }
    connection->set_up();
    connection_ = std::move(connection);
  }
  return connection_->perform(range, sink, cancel);
}

}  // namespace skerry::agent
