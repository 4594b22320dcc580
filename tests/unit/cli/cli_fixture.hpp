#pragma once

// Runs whole `skerry` commands in this process, with a folder of their own and captured output.

#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "skerry/cli/program.hpp"
#include "skerry/common/clock.hpp"
#include "skerry/common/file_system.hpp"

#include "temp_dir.hpp"

namespace skerry::cli::test {

class CommandTest : public ::testing::Test {
 protected:
  int run(const std::vector<std::string>& arguments) {
    out_.str("");
    err_.str("");
    return run_program(arguments, (dir_ / "bin").string(), {in_, out_, err_, false}, fs_, clock_);
  }
  [[nodiscard]] std::string path(const std::string& name) const { return (dir_ / name).string(); }
  [[nodiscard]] std::string out() const { return out_.str(); }
  [[nodiscard]] std::string err() const { return err_.str(); }
  void write(const std::string& name, std::string_view content) {
    ASSERT_TRUE(write_file_atomic(fs_, path(name), content, 0644));
  }
  std::string read(const std::string& name) {
    auto content = read_file(fs_, path(name), 16U << 20U);
    EXPECT_TRUE(content);
    return content ? *content : "";
  }

  skerry::test::TempDir dir_;
  SystemFileSystem fs_;
  FakeClock clock_{parse_rfc3339("2026-11-22T12:00:00Z").value_or(WallTime{})};
  std::istringstream in_;
  std::ostringstream out_;
  std::ostringstream err_;
};

}  // namespace skerry::cli::test
