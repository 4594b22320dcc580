// delta_corpus FOLDER: writes the seeds of the fuzz target `delta` (several pairs over its base).

#include <cstdio>
#include <filesystem>

#include "skerry/registry/delta.hpp"

#include "delta_golden.hpp"
#include "memory_file.hpp"

namespace {

using namespace skerry;

bool write_seed(const std::filesystem::path& path, const std::string& target) {
  const std::string base = test::golden_base();
  test::MemoryFile base_file{base};
  test::MemoryFile target_file{target};
  SystemFileSystem fs;
  auto out = fs.open(path, OpenMode::kCreateExclusive, 0644);
  if (!out) {
    std::fprintf(stderr, "%s\n", out.error().to_string().c_str());
    return false;
  }
  const auto made =
      registry::make_delta(base_file,
                           target_file,
                           {Digest::of(base), base.size(), Digest::of(target), target.size()},
                           **out,
                           {.largest = 1U << 20U});
  if (!made) {
    std::fprintf(stderr, "%s\n", made.error().to_string().c_str());
  }
  return made.has_value();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: delta_corpus FOLDER\n");
    return 2;
  }
  const std::filesystem::path folder{argv[1]};
  bool ok = write_seed(folder / "all", test::golden_target());
  for (const auto& tensor : test::golden_tensors()) {
    ok = write_seed(folder / tensor.name,
                    test::model_bytes(test::golden_tensors(), {tensor.name}, 20)) &&
         ok;
  }
  ok = write_seed(folder / "same", test::golden_base()) && ok;
  ok = write_seed(folder / "plain", "no model at all" + test::golden_base().substr(1, 3000)) && ok;
  return ok ? 0 : 1;
}
