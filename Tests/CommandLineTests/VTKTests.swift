import Foundation
import Support
import Testing

/// What viewers see: files read back with VTK's own XDMF reader, which ParaView uses.
enum VTK {
  /// A Python whose VTK has the reader: that of the environment variable ALIDADE_VTK_PYTHON, else python3.
  static let python: URL? = {
    let name = URL(fileURLWithPath: ProcessInfo.processInfo.environment["ALIDADE_VTK_PYTHON"] ?? "/usr/bin/python3")
    let out = try? Launcher.run(name, arguments: ["-c", "import numpy, vtk; vtk.vtkXdmfReader()"])
    return out?.status == 0 ? name : nil
  }()

  /// Reads step `step` of the first grid and compares its only array, bit by bit, with raw floats [components][cells].
  static let script = """
    import sys, numpy, vtk
    from vtk.util.numpy_support import vtk_to_numpy
    path, raw, components, steps, step = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
    reader = vtk.vtkXdmfReader()
    reader.SetFileName(path)
    reader.UpdateInformation()
    times = reader.GetOutputInformation(0).Get(vtk.vtkStreamingDemandDrivenPipeline.TIME_STEPS()) or (0.0,)
    assert len(times) == steps, times
    reader.UpdateTimeStep(times[step])
    grid = reader.GetOutputDataObject(0)
    while hasattr(grid, "GetBlock"): grid = grid.GetBlock(0)
    assert grid.GetDimensions() == (32, 32, 32), grid.GetDimensions()
    data = grid.GetPointData()
    assert data.GetNumberOfArrays() == 1
    found = vtk_to_numpy(data.GetArray(0)).reshape(-1, components)
    expected = numpy.fromfile(raw, "<f4").reshape(-1, components, 32**3)[step].T
    assert found.dtype == numpy.float32 and numpy.array_equal(found.view("u4"), numpy.ascontiguousarray(expected).view("u4"))
    """
}

@Suite(.serialized, .enabled(if: VTK.python != nil, "no Python with numpy and VTK's XDMF reader; name one in ALIDADE_VTK_PYTHON")) struct VTKTests {
  /// A vector at one time, and a scalar at three.
  @Test(arguments: [("czyx", 3, 1), ("tzyx", 1, 3)]) func readsWhatWasDecoded(axes: String, components: Int, steps: Int) throws {
    let folder = Workplace.shared.folder.path, stem = "\(folder)/seen-\(axes)"
    let tool = Launcher.product("alidade")
    for words in [
      ["compress", "\(folder)/velocity.raw", "-o", "\(stem).ald", "--raw", "--type", "f32", "--shape", "3,32,32,32", "--axes", axes, "--lossless", "-q"],
      ["decompress", "\(stem).ald", "-o", "\(stem).h5", "--xdmf", "-q"],
    ] {
      let out = try Launcher.run(tool, arguments: words)
      try #require(out.status == 0, "\(out.stderr)")
    }
    for step in 0..<steps {
      let out = try Launcher.run(try #require(VTK.python), arguments: ["-c", VTK.script, "\(stem).xdmf", "\(folder)/velocity.raw", "\(components)", "\(steps)", "\(step)"])
      #expect(out.status == 0, "\(out.stderr)")
    }
  }
}
