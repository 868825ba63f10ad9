import type { Precision, Provider } from '../devices/device.js';
import type { Environment } from '../devices/environment.js';
import type { LayersFiles } from '../exchange/export-layers.js';
import type { ExportedModel, ExportRequest } from '../exchange/export-model.js';
import type { WeightsFile } from '../exchange/import-layers.js';
import type { LayersConfig } from '../exchange/keras-config.js';
import type { BatchUse, TileBatch } from '../network/frozen.js';
import type { Margins, TileGeometry } from '../network/geometry.js';
import type { LayerFacts } from '../network/layers.js';
import type { OutputKind } from '../network/output-kind.js';
import type { ScoreKind } from '../network/score-kind.js';
import type { Diagnostics } from '../onnx/diagnostics.js';
import type { Ranges } from '../quantisation/ranges.js';
import type { Card } from '../shelf/card.js';
import type { TensorFlowInstallation } from '../tensorflow/installation.js';
import type { TrainingBatch } from '../train/batch.js';
import type { StepOptions, TrainerConfig } from '../train/trainer.js';
import type { CallContext } from './rpc.js';
import type { Ticket } from './ticket.js';

/** What the lanes of an engine have in common. */
export interface LaneOptions {
  readonly provider: Provider;
  /** TensorFlow, where it runs the networks: in one lane, on the CPU. Default: ONNX Runtime does. */
  readonly tensorflow?: TensorFlowInstallation;
  /** Threads of a device, at least 1: its lanes share them. */
  readonly threads: number;
  /** How numbers are rounded. Default `fp32`; others are for GPUs that have them. */
  readonly precision?: Precision;
  /** Identifies the run of the engine, where nothing identifies its device. Default: each lane is a run of its own. */
  readonly run?: string;
  /** The folder that `unseam setup cuda` made, for provider `cuda`. Default none: it cannot be used. */
  readonly cudaFolder?: string;
  /**
   * Limit of a lane's JavaScript heap, in MB, for an engine whose memory is limited: it releases sessions by their bytes
   * (`Engine.limit`). Default unlimited: sessions are bounded by their number.
   */
  readonly heapMb?: number;
  /** For developers: where compiled graphs and their profiles are written. Default nowhere. */
  readonly diagnostics?: Diagnostics;
}

/** What a lane's thread is started with. */
export interface LaneData extends LaneOptions {
  /** Its index, from 0. */
  readonly lane: number;
  /** The index of its device among those of its kind. */
  readonly device: number;
}

/** A model that a lane has loaded. */
export interface LoadedModel {
  readonly card: Card;
  readonly geometry: TileGeometry;
  /** SHA-256 of its layers, weights and, of a quantised version, ranges. */
  readonly digest: string;
}

export interface PredictRequest {
  /** The model's. */
  readonly id: number;
  readonly batch: TileBatch;
  readonly output: OutputKind;
  readonly symmetries: boolean;
  readonly threshold: number | null;
  /** ONNX Runtime's threads. */
  readonly threads: number;
  readonly ticket: Ticket | null;
}

/** How the network of an ONNX file is imported; see `ImportOptions`. */
export interface OnnxInspection {
  readonly channels?: number;
  readonly approximateSide?: number;
  readonly halo?: Margins;
}

/** The network of an ONNX file, as its card describes it. */
export interface InspectedOnnx {
  readonly geometry: TileGeometry;
  /**
   * How far px of the output depend on others: the least halo. That of the geometry may be wider, for its phase, or
   * narrower, in tiles of one size.
   */
  readonly reach: Margins;
  /** Whether its file fixes the size of its images. */
  readonly isOfOneSize: boolean;
  readonly inputChannels: number;
  readonly outputChannels: number;
  readonly parameters: number;
  /** As `Card` has them: by them, memory is estimated. */
  readonly features: number;
  /** What its output is, where the graph ends in what says so; null where it may be anything. */
  readonly ending: ScoreKind | null;
}

/** A network of somebody else's layers. */
export interface LayersSource {
  readonly config: LayersConfig;
  readonly weights: WeightsFile;
}

/** A network of layers for its folder. */
export interface ImportedLayers extends InspectedOnnx, LayersFiles {}

/** Numbers of one image, `[height, width, channels]`. */
export interface NetworkTensor {
  readonly values: Float32Array;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

/** What a network is before its training. */
export interface TraineeFacts {
  readonly geometry: TileGeometry;
  readonly parameters: number;
}

/** What a lane is called for: one call at a time, in the order of their arrival. The engine numbers the models. */
export interface EngineMethods {
  /**
   * What results depend on. The first call for a device, which it tries.
   * @throws DeviceUnavailableError
   */
  environment(): Promise<Environment>;
  /**
   * Has a device that was tried compute the same again.
   * @throws DeviceUnavailableError where it does not any more
   */
  tryAgain(): Promise<void>;
  /**
   * @param digest that of the model as other lanes have it; null in the first
   */
  load(id: number, folder: string, digest: string | null): Promise<LoadedModel>;
  /** The result is moved, not copied; empty where the ticket was revoked before the batch began. */
  predict(request: PredictRequest, context: CallContext): Promise<Uint8Array | Float32Array>;
  /** Releases a model's session of one use and number of threads. */
  release(id: number, use: BatchUse, threads: number): Promise<void>;
  unload(id: number): Promise<void>;
  describe(folder: string): Promise<{ readonly card: Card; readonly layers: readonly LayerFacts[] }>;
  /**
   * What an ONNX file has.
   * @throws OnnxFileError, UnsupportedNodeError, InexactModelError
   */
  inspectOnnx(path: string, options: OnnxInspection): Promise<InspectedOnnx>;
  /**
   * Builds a network of layers.
   * @throws InexactModelError, PackageError
   */
  importLayers(source: LayersSource): Promise<ImportedLayers>;
  /** What the network of a folder itself returns for one image, its border and its last layer included. */
  compute(folder: string, image: NetworkTensor): Promise<NetworkTensor>;
  /**
   * A model for other programs, and what it computes of a test image.
   * @throws ModelChoiceError for a quantised version, and as `exportModel`
   */
  exportModel(folder: string, request: ExportRequest): Promise<ExportedModel>;
  /** The network of a model alone, as ONNX. */
  exportNetwork(folder: string): Promise<Uint8Array>;
  /** Starts to find the ranges of a model's feature maps; what an earlier call found is lost. */
  calibrate(folder: string): Promise<void>;
  /** Computes the feature maps of a batch, and widens the ranges to their values. */
  observe(batch: TileBatch): Promise<void>;
  /** Ends the calibration. */
  ranges(): Promise<Ranges>;
  /** Builds a network to be trained; the one before is disposed of. */
  train(config: TrainerConfig): Promise<TraineeFacts>;
  /** One step; returns the loss. */
  step(batch: TrainingBatch, options: StepOptions): Promise<number>;
  /** Freezes a copy of the network as it stands, to be validated as it would be served. */
  snapshot(id: number): Promise<void>;
  saveModel(folder: string, card: Omit<Card, 'weights'>): Promise<Card>;
  saveState(path: string, extra: unknown): Promise<void>;
  loadState(path: string): Promise<unknown>;
  close(): Promise<void>;
}
