/** The types of `upsrs.js`. The contract's messages are described whole in `asyncapi.json`. */

export type ProcedureStepState = "SCHEDULED" | "IN PROGRESS" | "COMPLETED" | "CANCELED";
export type EventType = "CREATED" | "UPDATED" | "STATE_REPORT" | "CANCELED" | "COMPLETED";

/** All given fields must match; `*` and `?` count in the label and the AE titles. */
export interface Filter {
  worklistLabel?: string;
  procedureStepState?: ProcedureStepState;
  scheduledStationAETitle?: string;
  performerAETitle?: string;
  /** Any matching key of DICOM, by keyword or tag. */
  [keyword: string]: string | undefined;
}

export interface Code {
  codeValue: string;
  codingSchemeDesignator: string;
  codeMeaning: string;
}

export interface Workitem {
  workitemUID: string;
  procedureStepState: ProcedureStepState;
  /** RFC 3339. */
  scheduledProcedureStepStartDateTime: string;
  scheduledWorkitemCodeSequence: Code;
  inputInformationSequence: { studyInstanceUID?: string; seriesInstanceUID?: string }[];
  scheduledStationNameCodeSequence?: Code;
  scheduledStationClassCodeSequence?: Code;
  scheduledStationGeographicLocationCodeSequence?: Code;
  scheduledHumanPerformersSequence?: {
    humanPerformerCodeSequence?: Code;
    humanPerformerName?: string;
  }[];
  scheduledProcedureStepDescription?: string;
  scheduledProtocolCodeSequence?: Code;
  referencedRequestSequence?: {
    studyInstanceUID?: string;
    accessionNumber?: string;
    requestedProcedureID?: string;
    requestedProcedureDescription?: string;
  }[];
  worklistLabel?: string;
  /** Several are separated by a backslash. */
  scheduledStationAETitle?: string;
  performerAETitle?: string;
  procedureStepLabel?: string;
  scheduledProcedureStepPriority?: "HIGH" | "MEDIUM" | "LOW";
  expectedCompletionDateTime?: string;
  inputReadinessState?: string;
}

export interface Notification {
  eventType: EventType;
  workitemUID: string;
  subscriptionUID: string;
  /** Its place in the log; a report of the present state has none. */
  eventId?: number;
  eventTime: string;
  report?: true;
  procedureStepState?: ProcedureStepState;
  progressInformation?: {
    procedureStepProgress?: number;
    procedureStepProgressDescription?: string;
    numberOfCompletedSuboperations?: number;
    numberOfFailedSuboperations?: number;
    numberOfWarningSuboperations?: number;
    numberOfRemainingSuboperations?: number;
  };
  cancellationReason?: string;
  /** Not there: the workitem has left your sight. */
  workitem?: Workitem;
}

export interface Place {
  subscriptionUID: string;
  eventId: number;
  logId?: string;
}

export interface Line {
  /** `live`: every change is heard. `waiting`: it comes back by itself. `stopped`: it does not. */
  state: "connecting" | "live" | "waiting" | "stopped";
  /**
   * Of `connecting`: `state` while the present state is read. Of `waiting`: `broke`, `offline`. Of
   * `stopped`: `login` (log in again), `forbidden`, `refused`, `ended`, `closed`.
   */
  reason: "" | "state" | "broke" | "offline" | "login" | "forbidden" | "refused" | "ended" | "closed";
  /** The same as a sentence. */
  detail: string;
}

export interface Options {
  /** Default: every workitem that you may see. */
  filter?: Filter;
  /** 15 to 120, default 20. A line that is silent for two and a half of them is cut. */
  heartbeatSeconds?: number;
  /** Take up an equal subscription of yours that waits; what was missed comes before the state. */
  resume?: boolean;
  /** Let the subscription wait on the server when the page is left; default: it ends then. */
  keep?: boolean;
  /** Go on from here: the `place` of an earlier page. */
  place?: Place | null;
  /**
   * Subprotocols to offer, such as a one-time ticket. A function is asked before each attempt; if
   * it throws an error whose `status` is 401 or 403, a login is needed.
   */
  protocols?: string[] | (() => Promise<string[]>);
  /**
   * Asked before each attempt for a one-time ticket for the channel at this path, for pages that
   * have no cookies of the service. It throws as the function of `protocols` does.
   */
  ticket?: (path: string) => Promise<string>;
}

interface FollowingEventMap {
  state: CustomEvent<Notification[]>;
  notification: CustomEvent<Notification>;
  line: CustomEvent<Line>;
}

export declare class Following extends EventTarget {
  constructor(base: string | URL, options?: Options);
  readonly line: Line;
  readonly place: Place | null;
  /** End the subscription itself. */
  unsubscribe(): void;
  /** Go away; the subscription waits on the server for a while. */
  close(): void;
  addEventListener<K extends keyof FollowingEventMap>(
    type: K,
    listener: (event: FollowingEventMap[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

/** Follow what `options.filter` means of the worklist at `base`, such as `/ups-rs`. */
export declare function follow(base: string | URL, options?: Options): Following;
