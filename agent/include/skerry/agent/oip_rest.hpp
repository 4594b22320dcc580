#pragma once

// The Open Inference Protocol over HTTP (KServe v2) without HTTP: paths, tensors as JSON or after
// it (the binary tensor data extension), answers. Used by the HTTP front end; a fuzz target feeds
// the parsers. The same protocol over gRPC is agent/src/grpc/kserve_*.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/result.hpp"

namespace skerry::agent::oip {

struct Limits {
  static constexpr std::size_t kTensors = 256;
  static constexpr std::size_t kRank = 8;
};

struct RestTensor {
  std::string name;
  // "FP32", "BYTES", …
  std::string datatype;
  std::vector<std::int64_t> shape;
  // Little-endian, row-major; BYTES elements are length-prefixed (uint32).
  std::string data;

  friend bool operator==(const RestTensor&, const RestTensor&) = default;
};

struct RestOutput {
  std::string name;
  bool binary = false;
};

struct RestInfer {
  std::string id;
  std::vector<RestTensor> inputs;
  // Empty: all.
  std::vector<RestOutput> outputs;
  // How outputs are sent that do not say so themselves.
  bool binary_output = false;

  [[nodiscard]] bool binary(std::string_view output) const;
};

// `json_length` is the Inference-Header-Content-Length header, empty if there is none: that much of
// the body is JSON, the inputs' bytes follow in order. kInvalidArgument names the input.
Result<RestInfer> parse_infer(std::string_view body,
                              std::string_view json_length,
                              std::size_t max_bytes);

// The answer's body; `json_length` is its header's value if bytes follow the JSON.
// kFailedPrecondition if an output cannot be said in JSON (FP16, BF16, numbers that are not finite)
// and was not asked for as binary.
struct RestAnswer {
  std::string body;
  std::optional<std::size_t> json_length;
};
Result<RestAnswer> infer_body(const RestInfer& request,
                              const std::string& model,
                              const std::string& version,
                              const std::vector<RestTensor>& outputs);

// "/v2/models/<name>[/versions/<version>][/<action>]"; the name may hold '/' or "%2F".
struct ModelPath {
  std::string model;
  std::string version;
  // "infer", "ready", or empty: metadata.
  std::string action;

  // "team/name" and a version make "team/name:version"; a slot takes no version.
  [[nodiscard]] std::string reference() const;
};
Result<ModelPath> parse_model_path(std::string_view path);

// "/v2/repository/models/<name>/<load|unload>"
Result<ModelPath> parse_repository_path(std::string_view path);

struct RestTensorInfo {
  std::string name;
  std::string datatype;
  std::vector<std::int64_t> shape;
};
std::string server_body(std::string_view version);
std::string metadata_body(const std::string& model,
                          const std::string& version,
                          const std::string& platform,
                          const std::vector<RestTensorInfo>& inputs,
                          const std::vector<RestTensorInfo>& outputs);
struct IndexEntry {
  std::string name;
  std::string version;
};
std::string index_body(const std::vector<IndexEntry>& models);

}  // namespace skerry::agent::oip
